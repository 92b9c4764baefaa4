"""The job folder: whole artefacts or none, and a fingerprint that tells jobs apart."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animegen.config import ConvertConfig, EncodeConfig
from animegen.errors import InputError, JobError, OutputError
from animegen.jobs import JobFolder, artefact, artefact_folder, load_arrays, reading, save_arrays, write_text


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
    job.claim({"input": {"sha256": "a"}, "crf": 18, "none": None}, restart=False)
    job.claim({"input": {"sha256": "a"}, "crf": 18}, restart=False)
    write_text(job.segment("poses", 0), "done")
    with pytest.raises(JobError, match=r"crf was 18, is 20") as caught:
        job.claim({"input": {"sha256": "a"}, "crf": 20}, restart=False)
    assert "--restart" in caught.value.hint
    job.claim({"input": {"sha256": "a"}, "crf": 20}, restart=True)
    assert not job.segment("poses", 0).exists()


def test_a_folder_of_the_users_is_not_taken_for_a_job(tmp_path: Path) -> None:
    job = JobFolder.beside(tmp_path / "out.mp4")
    write_text(job.root / "diary.txt", "precious")
    for restart in (False, True):
        with pytest.raises(JobError, match="not a job folder"):
            job.claim({"crf": 18}, restart=restart)
    assert (job.root / "diary.txt").read_text() == "precious"


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
    )
    job = JobFolder(tmp_path_factory.mktemp("job") / "out.job")
    job.claim({"request": config.to_plain()}, restart=False)
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
