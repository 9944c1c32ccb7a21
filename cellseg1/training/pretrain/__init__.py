"""Training of the bundled backbone `tiny` from scratch on openly licensed annotated cells.

``python -m cellseg1.training.pretrain --data FOLDER --out FOLDER --minutes N [--resume]``
"""
