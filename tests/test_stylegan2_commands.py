"""`animegen stylegan2` from a checkpoint of another tool to pictures, films, latents and blends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from stylegan2_files import nvidia_pickle
from stylegan2_numbers import Case

from animegen.cli import cli, main
from animegen.cli.stylegan2 import project_video
from animegen.errors import UsageError
from animegen.stylegan2.blend import blend
from animegen.stylegan2.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from animegen.stylegan2.pictures import read_picture
from animegen.stylegan2.video_inversion import RATE, VideoOptions
from animegen.video import open_video

CASE = Case(64, base=512, most=16)

REORDERED = 1e-5
"""Of the largest value: drawing lays the weights out anew, which changes the order of sums."""


def other(generator: torch.nn.Module) -> torch.nn.Module:
    """A generator of the same configuration with other numbers."""
    changed = CASE.generator()
    changed.load_state_dict(
        {name: tensor.roll(1, 0) if tensor.ndim else tensor for name, tensor in generator.state_dict().items()}
    )
    return changed


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "g.safetensors", Checkpoint(CASE.generator()))
    return tmp_path / "g.safetensors"


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["stylegan2", *map(str, arguments)])
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


def test_import_and_generate(tmp_path):
    generator = CASE.generator()
    (tmp_path / "x.pkl").write_bytes(nvidia_pickle({"G_ema": generator}))
    assert "64 px" in run("import", tmp_path / "x.pkl", "-o", tmp_path / "x.safetensors")
    run(
        "generate",
        tmp_path / "x.safetensors",
        "--seeds",
        "1,3-4",
        "--trunc",
        0.7,
        "-o",
        tmp_path / "raw",
        "--format",
        "npy",
    )
    assert sorted(path.name for path in (tmp_path / "raw").iterdir()) == [f"seed000{n}.npy" for n in (1, 3, 4)]
    z = torch.from_numpy(np.random.RandomState(3).randn(1, 64))
    drawn, expected = np.load(tmp_path / "raw" / "seed0003.npy"), generator(z, psi=0.7)[0].numpy()
    assert np.abs(drawn - expected).max() <= REORDERED * np.abs(expected).max()


def test_noise_modes_and_pictures(checkpoint, tmp_path):
    for noise in ("const", "random", "none"):
        for turn in (1, 2):
            run("generate", checkpoint, "--seeds", 5, "--noise-mode", noise, "-o", tmp_path / f"{noise}{turn}")
        first, second = ((tmp_path / f"{noise}{turn}" / "seed0005.png").read_bytes() for turn in (1, 2))
        assert first == second
    assert len({(tmp_path / f"{noise}1" / "seed0005.png").read_bytes() for noise in ("const", "random", "none")}) == 3
    with Image.open(tmp_path / "const1" / "seed0005.png") as image:
        assert image.size == (64, 64) and image.mode == "RGB"


def test_a_class_is_asked_for(tmp_path, capsys):
    save_checkpoint(
        tmp_path / "c.safetensors", Checkpoint(Case(64, c_dim=3, base=512, most=16, channels=4).generator())
    )
    asked = ["stylegan2", "generate", str(tmp_path / "c.safetensors"), "--seeds", "0", "-o", str(tmp_path / "out")]
    assert main(asked) == 2
    assert "classes 0 to 2" in capsys.readouterr().err
    assert main([*asked, "--class", "1"]) == 0
    with Image.open(tmp_path / "out" / "seed0000.png") as image:
        assert image.mode == "RGBA"


def test_a_malicious_file_is_refused_by_the_command(tmp_path, capsys):
    (tmp_path / "x.pkl").write_bytes(b"cposix\nsystem\n(S'touch canary'\ntR.")
    assert main(["stylegan2", "import", str(tmp_path / "x.pkl"), "-o", str(tmp_path / "x.safetensors")]) == 1
    assert "posix.system" in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()


def test_walks_and_mixtures(checkpoint, tmp_path):
    run("interpolate", checkpoint, "--seeds", "0-1", "--frames", 3, "-o", tmp_path / "walk.mp4")
    with open_video(tmp_path / "walk.mp4") as video:
        assert len(list(video.frames())) == 6
    run("mix", checkpoint, "--rows", "0-1", "--columns", "2-4", "--layers", "0-3", "-o", tmp_path / "mix.png")
    with Image.open(tmp_path / "mix.png") as image:
        assert image.size == (4 * 64, 3 * 64)


def test_projection_directions_and_edit(checkpoint, tmp_path):
    run("generate", checkpoint, "--seeds", "0-1", "-o", tmp_path / "own")
    pictures = sorted((tmp_path / "own").iterdir())
    told = run("project", checkpoint, *pictures, "-o", tmp_path / "found", "--steps", 5, "--noise")
    assert told.count("after 5 steps") == 2 and "latents: 5 done" in told
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        f"seed000{n}.{s}" for n in (0, 1) for s in ("npz", "png")
    }
    run("directions", checkpoint, "-o", tmp_path / "ways.npz", "--count", 3, "--method", "ganspace")
    latent = tmp_path / "found" / "seed0000.npz"
    run("edit", checkpoint, latent, "--directions", tmp_path / "ways.npz", "--frames", 4, "-o", tmp_path / "edit.mp4")
    with open_video(tmp_path / "edit.mp4") as video:
        assert len(list(video.frames())) == 4
    assert main(["stylegan2", "project", str(checkpoint), str(checkpoint), "-o", str(tmp_path / "no")]) == 1


def test_a_picture_says_the_same_in_every_kind_of_file(tmp_path):
    grey = np.linspace(0, 255, 64 * 64).astype(np.uint8).reshape(64, 64)
    alpha = np.full((64, 64), 255, np.uint8)
    alpha[:32] = 0
    kinds = {
        "grey": grey,
        "grey16": grey.astype(np.uint16) * 257,
        "rgb": np.dstack([grey] * 3),
        "rgba": np.dstack([grey, grey, grey, alpha]),
    }
    for name, pixels in kinds.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    read = {name: read_picture(tmp_path / f"{name}.png", 64, 3) for name in kinds}
    assert np.array_equal(read["grey"], read["rgb"]) and np.array_equal(read["grey16"], read["rgb"])
    assert np.array_equal(read["rgba"][:, 32:], read["rgb"][:, 32:])
    assert np.all(read["rgba"][:, :32] == 1)  # what cannot be seen lies on white
    seen = read_picture(tmp_path / "rgba.png", 64, 4)
    assert np.array_equal(seen[:3], read["rgb"]) and np.all(seen[3, :32] == -1)


def test_what_is_no_picture_or_checkpoint_is_told_with_a_way_out(checkpoint, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "x.png")
    Image.fromarray(np.zeros((64, 64), np.float32)).save(tmp_path / "deep.tiff")
    cases = {
        (checkpoint, tmp_path / "folder"): ("is a folder, not a picture", "name the pictures in it"),
        (checkpoint, tmp_path / "deep.tiff"): ("has 32 bits a colour", "save it with 8 or 16 bits"),
        (checkpoint, tmp_path / "none.png"): ("cannot read the picture", "the path of a whole PNG or JPEG"),
        (tmp_path / "folder", tmp_path / "x.png"): ("is a folder, not a checkpoint", "the .safetensors file in it"),
        (tmp_path / "x.png", tmp_path / "x.png"): ("cannot read", "`animegen stylegan2 import`"),
    }
    for (generator, picture), told in cases.items():
        assert main(["stylegan2", "project", str(generator), str(picture), "-o", str(tmp_path / "out")]) == 1
        said = capsys.readouterr().err
        assert all(words in said for words in told), said


def test_a_clip_is_projected_and_edited(checkpoint, tmp_path):
    run("interpolate", checkpoint, "--seeds", "0-1", "--frames", 2, "-o", tmp_path / "walk.mp4")
    told = run("project-video", checkpoint, tmp_path / "walk.mp4", "-o", tmp_path / "clip.npz", "--steps", 3)
    assert "4 frames" in told and "latents: 3 done" in told
    (usual,) = (option.default for option in project_video.params if option.name == "learning_rate")
    assert usual == RATE == VideoOptions().search.learning_rate
    run("directions", checkpoint, "-o", tmp_path / "ways.npz", "--count", 1)
    run("edit", checkpoint, tmp_path / "clip.npz", "--directions", tmp_path / "ways.npz", "-o", tmp_path / "edit.mp4")
    for name in ("clip.mp4", "edit.mp4"):
        with open_video(tmp_path / name) as video:
            assert len(list(video.frames())) == 4


@pytest.mark.parametrize("side", [8, 16, 32, 64])
def test_a_blend_is_each_parent_on_its_side_of_the_cut(side):
    coarse = CASE.generator()
    fine = other(coarse)
    blended = blend(coarse, fine, side)
    for name, tensor in blended.state_dict().items():
        place = name.split(".")[1]
        parent = fine if name.startswith("synthesis.") and int(place[1:]) >= side else coarse
        assert torch.equal(tensor, parent.state_dict()[name]), name
    ws = coarse.latents(CASE.z())
    seen: dict[str, list[torch.Tensor]] = {"blended": [], "coarse": []}
    for name, network in (("blended", blended), ("coarse", coarse)):
        network.synthesis.block(side // 2).register_forward_hook(lambda _m, _i, out, name=name: seen[name].extend(out))
        network.synthesis(ws)
    assert all(torch.equal(a, b) for a, b in zip(seen["blended"], seen["coarse"], strict=True))
    x, picture = seen["coarse"]
    first = 2 * (side.bit_length() - 3) - 1
    given = (x, picture, ws[:, first : first + 3], "const", torch.float32)
    outs = [network.synthesis.block(side)(*given) for network in (blended, fine)]
    assert all(torch.equal(a, b) for a, b in zip(*outs, strict=True))


@pytest.mark.parametrize("side", [4, 12, 128])
def test_an_illegal_layer_is_an_error(side):
    with pytest.raises(UsageError, match="one of 8, 16, 32, 64 px"):
        blend(CASE.generator(), CASE.generator(), side)


def test_a_blend_understands_its_base(checkpoint, tmp_path):
    fine = tmp_path / "fine.safetensors"
    save_checkpoint(fine, Checkpoint(other(load_checkpoint(checkpoint).generator)))
    run("blend", checkpoint, fine, "--at", 16, "-o", tmp_path / "blend.safetensors")
    run("generate", checkpoint, "--seeds", 0, "-o", tmp_path)
    run("project", checkpoint, tmp_path / "seed0000.png", "-o", tmp_path / "found", "--steps", 1)
    run("directions", checkpoint, "-o", tmp_path / "ways.npz", "--count", 1)
    asked = ["stylegan2", "edit", "", str(tmp_path / "found" / "seed0000.npz"), "--frames", "1"]
    asked += ["--directions", str(tmp_path / "ways.npz"), "-o", str(tmp_path / "edit.mp4")]
    asked[2] = str(tmp_path / "blend.safetensors")
    assert main(asked) == 0
    asked[2] = str(fine)
    assert main(asked) == 1
