"""Training of the bundled backbone `tiny` from scratch on openly licensed annotated cells.

``python -m cellseg1.training.pretrain --data FOLDER --out FOLDER --minutes N [--resume]``

On a GPU, ``--device cuda --batch 64 --workers 14`` keeps it busy; `cellseg1.training.pretrain.pack` makes the data
small enough to be brought there.
"""
