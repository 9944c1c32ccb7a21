"""The project folder: images, drawings, models and runs on disk, written so that nothing drawn is ever lost.

Never imports Qt.  `app.project.project` is what the window uses.
"""
