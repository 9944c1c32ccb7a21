"""The fakes that tests of panels use have what the real ones have, under the same names."""

import inspect

import page_help
import panel_help
import pytest

from app.engine.jobs import JobHandle
from app.project.drawings import ProjectDrawings
from app.project.images import ProjectImages
from app.project.models import ProjectModels
from app.project.runs import ProjectRuns
from app.session.session import Session

#: What only the tests themselves call.
_OF_TESTS = {
    page_help.FakeSession: {"show_proposals", "end_job", "fail"},
    panel_help.FakeJob: {"tell", "show", "end"},
}
PAIRS = [
    (page_help.FakeSession, Session),
    (page_help.FakeImages, ProjectImages),
    (page_help.FakeRuns, ProjectRuns),
    (page_help.FakeModels, ProjectModels),
    (page_help.FakeDrawings, ProjectDrawings),
    (page_help.FakeJob, JobHandle),
    (panel_help.FakeJob, JobHandle),
]


def parameters(function):
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name for name, one in inspect.signature(function).parameters.items() if one.kind not in kinds}


@pytest.mark.parametrize(("fake", "real"), PAIRS, ids=lambda one: f"{one.__module__}.{one.__name__}")
def test_a_fake_promises_nothing_that_is_not_there(fake, real):
    own = {name for name in vars(fake) if not name.startswith("_")} - _OF_TESTS.get(fake, set())
    assert own
    assert [name for name in sorted(own) if not hasattr(real, name)] == []
    for name in own:
        mine, theirs = getattr(fake, name), getattr(real, name)
        if inspect.isfunction(mine) and inspect.isfunction(theirs):
            assert parameters(mine) <= parameters(theirs), name
