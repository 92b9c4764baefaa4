"""The job folder: whole artefacts or none, and a fingerprint that tells jobs apart."""

from __future__ import annotations

import json
import os
import socket
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animegen.config import ConvertConfig, EncodeConfig
from animegen.errors import InputError, JobError, OutputError
from animegen.jobs import (
    JobFolder,
    append_line,
    artefact,
    artefact_folder,
    check_space,
    digest_of,
    in_words,
    load_arrays,
    read_lines,
    reading,
    save_arrays,
    write_text,
)


def test_an_artefact_stands_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "thing.bin"
    with artefact(path) as part:
        part.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    with pytest.raises(RuntimeError), artefact(path) as part:
        part.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_stands_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "things"
    with pytest.raises(RuntimeError), artefact_folder(path) as part:
        (part / "half").write_bytes(b"half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with artefact_folder(path) as part:
        (part / "whole").write_bytes(b"whole")
        assert not path.exists()
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(OutputError, match="cannot write"), artefact_folder(path):
        pass
    assert (path / "whole").read_bytes() == b"whole"


def test_a_refusing_disk_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write") as caught:
        write_text(tmp_path / "file" / "below.txt", "text")
    assert caught.value.hint


def test_the_same_request_goes_on_and_another_is_refused(tmp_path: Path) -> None:
    job = JobFolder.beside(tmp_path / "out.mp4")
    with job.held():
        assert job.claim({"input": {"sha256": "a"}, "crf": 18, "none": None}) == set()
        assert job.claim({"input": {"sha256": "a"}, "crf": 18}) == set()
        write_text(job.segment("poses", 0), "done")
        with pytest.raises(JobError, match=r"crf was 18, is 20") as caught:
            job.claim({"input": {"sha256": "a"}, "crf": 20})
        assert "--restart" in caught.value.hint
        assert job.claim({"input": {"sha256": "a"}, "crf": 20}, free={"crf"}) == {"crf"}
        assert job.segment("poses", 0).exists()
        job.clear()
        job.claim({"input": {"sha256": "b"}})
        assert not job.segment("poses", 0).exists()


def test_a_folder_of_the_users_is_not_taken_for_a_job(tmp_path: Path) -> None:
    job = JobFolder.beside(tmp_path / "out.mp4")
    write_text(job.root / "diary.txt", "precious")
    with pytest.raises(JobError, match="not a job folder"), job.held():
        raise AssertionError
    assert [path.name for path in job.root.iterdir()] == ["diary.txt"]


def test_a_job_that_comes_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    with JobFolder.beside(tmp_path / "out.mp4").held():
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_artefact_is_known_again_by_its_seal(tmp_path: Path) -> None:
    job = JobFolder.beside(tmp_path / "out.mp4")
    poses, plates, output = job.segment("poses", 0), job.plates, tmp_path / "out.mp4"
    with job.held():
        assert job.state(poses) == "absent"
        for path in (poses, plates / "a.png", plates / "deep" / "b.png"):
            write_text(path, "content")
        assert job.state(poses) == "absent"  # it stands, but nobody said that it is whole
        output.write_text("film")
        for path in (poses, plates, output):
            job.seal(path)
            assert job.state(path) == "whole"
    for path, damaged in ((poses, poses), (plates, plates / "deep" / "b.png"), (output, output)):
        assert JobFolder(job.root).state(path) == "whole"
        damaged.write_text("kontent"[: len(damaged.read_text())])
        assert JobFolder(job.root).state(path) == "damaged"


def test_half_a_line_of_a_killed_run_is_cut_off(tmp_path: Path) -> None:
    job = JobFolder.beside(tmp_path / "out.mp4")
    with job.held():
        job.claim({})
        for word in ("one", "two"):
            append_line(job.log, {"word": word})
        with job.log.open("a") as file:
            file.write('{"word": "thr')
        write_text(job.segment("poses", 0).with_suffix(".npz.part"), "half")
    assert [line["word"] for line in read_lines(job.log)] == ["one", "two"]
    with job.held():
        append_line(job.log, {"word": "three"})
        assert [line["word"] for line in read_lines(job.log)] == ["one", "two", "three"]
        assert not list(job.root.rglob("*.part"))


def test_two_runs_do_not_share_a_job(tmp_path: Path) -> None:
    job = JobFolder.beside(tmp_path / "out.mp4")
    with job.held():
        job.claim({})
        holder = JobFolder(job.root).holder
        assert holder is not None and holder.pid == os.getpid()
        with pytest.raises(JobError, match=rf"in use by process {os.getpid()} on ") as caught, job.held():
            raise AssertionError
        assert "wait" in caught.value.hint
    assert job.holder is None
    assert not (job.root / "lock").exists()


def test_the_lock_of_a_dead_process_is_free_but_that_of_another_machine_holds(tmp_path: Path) -> None:
    job = JobFolder.beside(tmp_path / "out.mp4")
    with job.held():
        job.claim({"crf": 18})
    lock = job.root / "lock"
    lock.write_text(json.dumps({"pid": 1, "host": socket.gethostname()}))
    assert job.holder is None
    with job.held():
        pass
    lock.write_text(json.dumps({"pid": 7, "host": "elsewhere"}))
    with pytest.raises(JobError, match="process 7 on elsewhere") as caught, job.held():
        raise AssertionError
    assert str(lock) in caught.value.hint
    lock.write_text("")
    with job.held():
        pass


def test_a_disk_without_room_is_told_with_both_figures(tmp_path: Path) -> None:
    check_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(OutputError, match=r"has .* free, and this job needs about 10000000 TB"):
        check_space(tmp_path, 10**19)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (3_440_000, "3.4 MB"), (999_700, "1.0 MB"), (123_400_000, "123 MB")],
)
def test_bytes_in_words(size: int, words: str) -> None:
    assert in_words(size) == words


_leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.fractions())
_plain = st.recursive(
    _leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(_plain, _plain)
def test_a_digest_is_that_of_the_value(a: object, b: object) -> None:
    assert (digest_of(a) == digest_of(b)) == (repr(_sorted(a)) == repr(_sorted(b)))


def _sorted(value: object) -> object:
    """The value with mappings in one order, as their order is no part of it."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=repr)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def test_a_digest_sees_every_byte_of_an_array_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert digest_of(array) == digest_of(array.copy()) == digest_of(np.asfortranarray(array))
    assert len({digest_of(a) for a in (array, array.T, array.astype(np.float32), array + 1e-9)}) == 4
    with pytest.raises(TypeError, match="object has no digest"):
        digest_of(object())


def test_a_folder_that_is_no_job_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="not a job folder"):
        JobFolder(tmp_path / "nothing.job").fingerprint()


_text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


@given(style=_text, settings=st.dictionaries(_text.filter(bool), _text), start=st.fractions(0, 10))
def test_a_request_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, style: str, settings: dict[str, str], start: Fraction
) -> None:
    config = ConvertConfig(
        style=style,
        seed=3,
        settings=settings,
        encode=EncodeConfig(crf=20, alpha=True),
        start=start,
        cast=Path("/people/cast.toml"),
    )
    job = JobFolder(tmp_path_factory.mktemp("job") / "out.job")
    with job.held():
        job.claim({"request": config.to_plain()})
    assert ConvertConfig.from_plain(job.section("request")) == config


def test_arrays_are_read_back_and_their_file_has_the_same_bytes_again(tmp_path: Path) -> None:
    arrays = {"points": np.arange(6.0).reshape(2, 3), "text": np.array("word"), "none": np.zeros((0, 4), np.uint8)}
    for name in ("one.part", "two.npz"):
        save_arrays(tmp_path / name, arrays, deflated={"points"})
    assert (tmp_path / "one.part").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with reading(tmp_path / "two.npz", "way out"):
        found = load_arrays(tmp_path / "two.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        save_arrays(tmp_path / "objects.npz", {"objects": np.array([{}])})


@pytest.mark.parametrize("keep", [0, 3, 200])
def test_damaged_arrays_are_named_with_a_way_out(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "arrays.npz"
    save_arrays(path, {"points": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"arrays\.npz is damaged") as caught, reading(path, "way out"):
        load_arrays(path)
    assert caught.value.hint == "way out"


def test_absent_arrays_are_named_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / "nothing.npz"
    with pytest.raises(InputError, match=r"cannot read .*nothing\.npz") as caught, reading(path, "way out"):
        load_arrays(path)
    assert caught.value.hint == "way out"
