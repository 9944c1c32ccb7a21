"""Closing the window while it trains: stop and resume later, or go on hidden until a second start."""

from pathlib import Path

from desktop import JOB, until

from app.project.project import Project


def start_training(studio, steps):
    """Open the sample, which has cells that are marked for training, and train until some steps are done."""
    studio.wait(lambda now: now["document"]["cells"] > 20 and now["canvas"]["rect"], "the sample")
    studio.press("2 Train")
    studio.wait(lambda now: now["page"] == "train", "step 2")
    studio.press("Train", "QPushButton")
    return studio.wait(lambda now: now["jobs"][0]["step"] >= steps, f"{steps} steps", JOB)


def ask_to_close(studio):
    """Close the window as one does, with the keyboard, and wait for the question."""
    studio.key("ctrl+q")
    studio.wait(lambda now: [one["kind"] for one in now["dialogs"]] == ["CloseDuringJobDialog"], "the question")


def ended(desktop, studio):
    until(lambda: studio.process.poll() is not None, "the end of the program")
    assert studio.process.returncode == 0, studio.words()
    until(lambda: not desktop.programs(), "the end of all processes", 30)
    assert "Traceback" not in studio.words()


def test_stopped_and_resumed_at_the_next_start(desktop):
    studio = desktop.start("--sample")
    state = start_training(studio, 2)
    steps = state["jobs"][0]["steps"]
    ask_to_close(studio)
    studio.press("Stop and resume later")
    ended(desktop, studio)
    folder = Path(state["project"])
    with Project.open(folder) as project:
        (run,) = project.runs
        assert (run.kind, run.state) == ("train", "stopped")
        done = run.fields["result"]["steps"]
        assert 2 <= done < steps

    # The next start offers it, in whatever step one is.
    studio = desktop.start(folder)
    state = studio.wait(lambda now: now["document"] and now["page"] == "annotate", "the project")
    studio.press("Resume the training")
    state = studio.wait(lambda now: now["page"] == "train" and now["jobs"][0]["step"] > done, "the training again", JOB)
    assert state["jobs"][0]["steps"] == steps
    assert len(state["runs"]) == 1, "it is the same training"

    # A crash now: the engine ends with the window, and the offer comes again.
    studio.kill()
    until(lambda: not desktop.programs(), "the end of the engine", 30)
    studio = desktop.start(folder)
    studio.wait(lambda now: now["document"] and now["page"] == "annotate", "the project")
    studio.press("Do not offer this training again")
    gone = "Resume the training"
    studio.wait(lambda now: not any(one["name"] == gone for one in now["things"]), "the offer gone")
    studio.key("ctrl+q")
    ended(desktop, studio)


def test_hidden_window_comes_back_by_a_second_start(desktop):
    studio = desktop.start("--sample")
    state = start_training(studio, 1)
    ask_to_close(studio)
    studio.press("Keep running in the background")
    hidden = studio.wait(lambda now: not now["window"], "the hidden window")
    assert hidden["jobs"][0]["pid"] == state["jobs"][0]["pid"]
    studio.wait(lambda now: now["jobs"][0]["step"] > hidden["jobs"][0]["step"], "steps without a window", JOB)

    assert desktop.second_start() == 0
    back = studio.wait(lambda now: now["window"] and now["active"], "the window")
    assert back["pid"] == hidden["pid"]
    assert back["jobs"][0]["pid"] == state["jobs"][0]["pid"]
    assert back["page"] == "train"
    # It can be worked with again.
    studio.press("1 Annotate")
    studio.wait(lambda now: now["page"] == "annotate", "step 1")
    ask_to_close(studio)
    studio.press("Stop and resume later")
    ended(desktop, studio)
