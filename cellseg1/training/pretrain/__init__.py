"""Training of the bundled backbone `tiny` from scratch on openly licensed annotated cells.

Internal: the training of the bundled backbone.  It is not part of the public interface and may change at any time.

``python -m cellseg1.training.pretrain --data FOLDER --out FOLDER --minutes N [--resume]``

The second architecture (`cellseg1.sam.tiny2`, not in use yet) is trained in any number of sessions; each continues the
last one until SIGTERM or for ``--minutes``:

``... --architecture 2 --data FOLDER --out FOLDER [--begin-with WEIGHTS]``

Write weights without changing the training:

``... --architecture 2 --data FOLDER --out FOLDER --take FILE --fall 300``

Both in one short session on a GPU:

``... --architecture 2 --data PACKED --out FOLDER --device cuda --workers 14 --times 8 --minutes 8 --sprint``

``--device cuda --batch 64 --workers 14`` uses a GPU fully; `cellseg1.training.pretrain.pack` makes a small file of
the data for copying.
"""
