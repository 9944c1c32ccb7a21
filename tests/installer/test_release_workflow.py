"""The release workflow, as far as it can be looked at without GitHub."""

import re
import shutil
import subprocess
import sys

import pytest
import yaml

from installer.roots import ROOT

WORKFLOW = ROOT / ".github/workflows/release.yml"


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


def steps(workflow):
    return [(job, step) for job, content in workflow["jobs"].items() for step in content["steps"]]


def test_only_the_last_job_may_write(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    writers = [name for name, job in workflow["jobs"].items() if "permissions" in job]
    assert writers == ["release"]
    assert workflow["jobs"]["release"]["if"] == "github.ref_type == 'tag'"
    assert "--draft" in str(workflow["jobs"]["release"])


def test_a_release_waits_for_every_test_of_what_was_built(workflow):
    jobs = workflow["jobs"]
    assert {"linux", "windows-setup", "windows-installed"} <= set(jobs["release"]["needs"])
    for job in ("linux", "windows-installed"):
        text = str(jobs[job])
        assert "installer.smoke" in text
        assert "installer/from_source.sh" not in text, "the built program, not the source"
    for job in jobs.values():
        assert job["timeout-minutes"] <= 240
        for need in [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", []):
            assert need in jobs


def test_both_variants_everywhere(workflow):
    for name, job in workflow["jobs"].items():
        if name not in ("version", "release"):
            assert job["strategy"]["matrix"]["variant"] == ["cpu", "cuda"]
            assert job["strategy"]["fail-fast"] is False


def test_what_is_downloaded_was_uploaded(workflow):
    names = {"up": set(), "down": set()}
    for _, step in steps(workflow):
        for kind, word in (("up", "upload-artifact"), ("down", "download-artifact")):
            if word in step.get("uses", ""):
                names[kind].add(step["with"].get("name") or step["with"]["pattern"])
    assert {name for name in names["down"] if "*" not in name} <= names["up"]
    assert [name for name in names["up"] if name.startswith("release-")]


def test_secrets_are_never_in_a_command(workflow):
    for _, step in steps(workflow):
        assert "secrets." not in step.get("run", "")
        # What anybody may choose (the tag's name) reaches a shell through the environment only.
        assert not re.search(r"\$\{\{\s*github\.(ref_name|head_ref|event)", step.get("run", ""))


def test_the_programs_it_calls_are_there(workflow):
    text = WORKFLOW.read_text(encoding="utf-8")
    for module in set(re.findall(r"python -m (installer[\w.]+)", text)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    for path in set(re.findall(r"installer/[\w/]+\.(?:py|sh)", text)):
        assert (ROOT / path).is_file(), path
    help_text = subprocess.run(
        [sys.executable, ROOT / "installer/build.py", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for option in set(re.findall(r"build\.py.*", text)):
        for word in re.findall(r"--[a-z-]+", option):
            assert word in help_text


@pytest.mark.skipif(shutil.which("bash") is None or sys.platform == "win32", reason="there is no bash")
def test_every_shell_script_is_a_shell_script(workflow):
    for _, step in steps(workflow):
        if "run" in step and step.get("shell", "bash") == "bash":
            script = re.sub(r"\$\{\{.*?\}\}", "x", step["run"])
            done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
