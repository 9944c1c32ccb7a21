"""The tool on the page about adding something does what it says, and can be undone."""

import numpy as np
from canvas_help import Mouse, make_canvas
from extending import blocks


def test_the_tool_of_the_page(qtbot):
    # As a module of the package it would lie in.
    names = {"__name__": "app.canvas.tools.largest", "__package__": "app.canvas.tools"}
    exec(blocks()[0]["app/canvas/tools/largest.py"], names)
    canvas, document = make_canvas(qtbot)
    before = document.labels.copy()
    tool = canvas.tools["only"] = names["KeepLargestTool"](canvas)
    assert tool.title()
    assert tool.hint()
    canvas.set_tool("only")
    mouse = Mouse(canvas)
    mouse.click(70, 60)
    assert np.unique(document.labels).tolist() == [0, 2]
    mouse.click(70, 60)
    assert np.unique(document.labels).tolist() == [0, 2]
    document.undo()
    np.testing.assert_array_equal(document.labels, before)
