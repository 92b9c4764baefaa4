"""Files that are no video, or not a whole one: refused with one line and a hint, or salvaged."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media import index_of, make_clip, numbered
from PIL import Image

from animegen.errors import InputError
from animegen.video import open_video

SALVAGE = {
    "front.mp4": {"container_options": {"movflags": "faststart"}},
    "plain.mkv": {},
    "sound.mkv": {"audio": True},
    "a.webm": {},
    "a.avi": {"size": (480, 288)},  # larger than its index, of which half of a smaller file consists
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "4"}},
    "sound.mp4": {"container_options": {"movflags": "faststart"}, "audio": True},
}


def refused(path: Path) -> InputError:
    with pytest.raises(InputError) as caught, open_video(path) as video:
        list(video.frames())
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in str(refused(tmp_path / "nothing.mp4"))


def test_folder(tmp_path: Path) -> None:
    assert "is a folder" in str(refused(tmp_path))


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a.mkv"])
def test_zero_bytes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert "is empty" in str(refused(tmp_path / name))


@pytest.mark.parametrize("name", ["notes.txt", "notes.mp4", "notes.mkv", "notes.srt", "notes.m3u8", "notes.nfo"])
def test_text_file(tmp_path: Path, name: str) -> None:
    text = "1\n00:00:01,000 --> 00:00:02,000\nHello\n" if name.endswith("srt") else "A text, not a video.\n" * 40
    if name.endswith("m3u8"):
        text = "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/none.ts\n"
    (tmp_path / name).write_text(text)
    refused(tmp_path / name)


def test_list_of_files(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", frames=2)
    path = tmp_path / "list.mp4"
    path.write_text("ffconcat version 1.0\nfile clip.mp4\n")
    assert "list of other files" in str(refused(path))


def test_heic_photo(tmp_path: Path) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(1000))
    assert "HEIC photo" in str(refused(path))


def test_random_bytes(tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20_000))
    refused(tmp_path / "noise.mp4")


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.m4a", "aac"), ("a.mka", "aac")])
def test_sound_only(tmp_path: Path, name: str, codec: str) -> None:
    with av.open(str(tmp_path / name), "w") as out:
        stream = out.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=48000)
        for part in (*resampler.resample(frame), None):
            out.mux(stream.encode(part))
    assert "only audio" in str(refused(tmp_path / name))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8, 0.97, 0.999])
@pytest.mark.parametrize("name", SALVAGE)
def test_truncated_file_is_refused_and_salvaged(tmp_path: Path, name: str, share: float) -> None:
    options = {"options": {"g": "4", "bf": "0"}} | SALVAGE[name]
    whole = make_clip(tmp_path / name, frames=40, **options).read_bytes()
    path = tmp_path / f"cut-{name}"
    path.write_bytes(whole[: int(share * len(whole))])
    error = refused(path)
    assert "truncated" in str(error)
    assert "--salvage" in error.hint
    if share < 0.5:
        return  # The first picture alone may take as much as that.
    with open_video(path, salvage=True) as video:
        kept = [index_of(frame.image) for frame in video.frames()]
        assert kept == list(range(len(kept)))
        assert len(kept) == len(video.timeline) == video.info.frame_count
        # The last picture may be cut, and sound or an index may stand behind the pictures.
        assert max(1, 40 * share - 20) <= len(kept) <= 40
        assert [index_of(frame.image) for frame in video.frames(len(kept) - 1)] == kept[-1:]


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_mp4_whose_last_box_has_no_length(tmp_path: Path, share: float) -> None:
    clip = make_clip(tmp_path / "a.mp4", audio=True, container_options={"movflags": "faststart"})
    whole = bytearray(clip.read_bytes())
    start = whole.index(b"mdat")
    whole[start - 4 : start] = bytes(4)  # ISO 14496-12: the box reaches to the end of the file.
    clip.write_bytes(whole)
    with open_video(clip) as video:
        assert len(list(video.frames())) == 24
    clip.write_bytes(whole[: int(share * len(whole))])
    assert "truncated" in str(refused(clip))


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_mp4_without_its_index(tmp_path: Path, share: float) -> None:
    whole = make_clip(tmp_path / "a.mp4", frames=40).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: int(share * len(whole))])
    assert "truncated" in str(refused(path))
    with pytest.raises(InputError):
        open_video(path, salvage=True)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif"])
def test_truncated_image(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(1)
    pictures = [Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)) for _ in range(3)]
    animated = {"save_all": True, "append_images": pictures[1:]} if name.endswith("gif") else {}
    pictures[0].save(tmp_path / name, **animated)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(0.7 * len(whole))])
    assert "truncated" in str(refused(tmp_path / name))


def test_hole_in_the_middle(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=60, size=(320, 192), options={"g": "10", "bf": "0"})
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 1500] = b"\xff" * 1500
    path.write_bytes(whole)
    assert "--salvage" in refused(path).hint
    with open_video(path, salvage=True) as video:
        kept = [(index_of(frame.image), frame.pts) for frame in video.frames()]
    assert 30 < len(kept) < 60
    assert kept[0][0] == 0 and kept[-1][0] == 59
    first = kept[0][1]
    assert all(pts - first == index * (kept[1][1] - first) for index, pts in kept)


def test_nothing_is_said_on_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = make_clip(tmp_path / "a.mkv", frames=40).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    capfd.readouterr()
    with open_video(tmp_path / "cut.mkv", salvage=True) as video:
        list(video.frames())
    assert capfd.readouterr() == ("", "")


def test_what_stands_behind_the_last_box_does_no_harm(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=4)
    for tail in (b"\0" * 40, b"\0\0", b"\0\0\0\x08free"):
        (tmp_path / "tail.mp4").write_bytes(path.read_bytes() + tail)
        with open_video(tmp_path / "tail.mp4") as video:
            assert [index_of(frame.image) for frame in video.frames()] == [0, 1, 2, 3]
            assert np.array_equal(numbered(3, 160, 96).shape, next(video.frames(3)).image.shape)


def test_codec_that_nothing_decodes(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=2)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz").replace(b"avcC", b"free"))
    assert "decodes the codec" in str(refused(path))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.gif"])
def test_whatever_the_damage_the_answer_is_an_input_error(tmp_path: Path, name: str) -> None:
    pix_fmt = "rgb8" if name == "a.gif" else "yuv420p"
    whole = make_clip(tmp_path / name, frames=6, size=(64, 48), rate=Fraction(25), pix_fmt=pix_fmt).read_bytes()
    rng = np.random.default_rng(8)
    path = tmp_path / f"damaged-{name}"
    for _ in range(20):
        content = np.frombuffer(whole, np.uint8).copy()
        content[rng.integers(len(content), size=rng.choice([1, 8, 60]))] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(content) // 2, len(content) + 1)].tobytes())
        for salvage in (False, True):
            try:
                with open_video(path, salvage=salvage) as video:
                    assert len(list(video.frames())) == len(video.timeline)
            except InputError as error:
                assert "\n" not in str(error)
