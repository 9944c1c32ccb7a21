"""Training of the bundled backbone `tiny` from scratch on openly licensed annotated cells.

Internal: how the backbone that comes with the program was made.  Nobody who uses the program needs it, it is not part
of the public interface, and it may change at any time.

``python -m cellseg1.training.pretrain --data FOLDER --out FOLDER --minutes N [--resume]``

The second architecture (`cellseg1.sam.tiny2`, not in use yet) is trained without an end, in as many pieces as one
likes, each of which goes on where the last one stopped, until SIGTERM or for ``--minutes``:

``... --architecture 2 --data FOLDER --out FOLDER [--begin-with WEIGHTS]``

Weights are written by the following, which leaves the training as it is:

``... --architecture 2 --data FOLDER --out FOLDER --take FILE --fall 300``

Both in one short time on a GPU:

``... --architecture 2 --data PACKED --out FOLDER --device cuda --workers 14 --times 8 --minutes 8 --sprint``

On a GPU, ``--device cuda --batch 64 --workers 14`` keeps it busy; `cellseg1.training.pretrain.pack` makes the data
small enough to be brought there.
"""
