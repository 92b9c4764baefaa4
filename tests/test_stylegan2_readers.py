"""Checkpoints of other tools: read to equal networks, written back to equal files, and never executed."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from stylegan2_files import malicious_files, nvidia_pickle, tensorflow_pickle
from stylegan2_numbers import Case, numbers
from stylegan2_official import (
    ADA,
    REFERENCES,
    ROSINALITY,
    ada_pair,
    rosinality_checkpoint,
    rosinality_numbers,
    rosinality_outputs,
)

from animegen.errors import UsageError, WeightsError
from animegen.stylegan2 import rosinality
from animegen.stylegan2.checkpoint import (
    Checkpoint,
    export_checkpoint,
    import_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from animegen.stylegan2.config import DiscriminatorConfig, GeneratorConfig
from animegen.stylegan2.discriminator import Discriminator
from animegen.stylegan2.pickles import BrokenPickle, RefusedPickle, read_pickle
from animegen.stylegan2.synthesis import Generator
from animegen.stylegan2.tensor_files import load_plain

TOLERANCE = 1e-5
"""Of the largest value: rosinality scales weights where the official code scales styles, which rounds otherwise."""

SMALL = Case(64, base=512, most=16, clamp=256.0)


WHOLE = nvidia_pickle({"G_ema": Case(64, base=64, most=2).generator()})


def same(ours: torch.nn.Module, theirs: torch.nn.Module) -> bool:
    a, b = ours.state_dict(), theirs.state_dict()
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_a_checkpoint_is_read_without_a_compiler_or_random_numbers(tmp_path: Path) -> None:
    """PyTorch imports its compiler, for a second, where numbers are drawn or divided on the meta device."""
    (tmp_path / "a.pkl").write_bytes(WHOLE)
    save_checkpoint(tmp_path / "a.safetensors", import_checkpoint(tmp_path / "a.pkl"))
    program = (
        "import sys, torch; from pathlib import Path; from animegen.stylegan2.checkpoint import load_checkpoint;"
        "before = torch.get_rng_state(); load_checkpoint(Path(sys.argv[1]));"
        "sys.exit(not torch.equal(before, torch.get_rng_state()) or 'torch._dynamo' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "a.safetensors")], check=True)


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("case", [SMALL, Case(64, "resnet", channels=4, c_dim=5, base=512, most=16)])
def test_nvidia_pickle_to_safetensors_to_pictures(case, protocol, tmp_path):
    generator, critic = case.generator(), case.discriminator()
    path = tmp_path / "x.pkl"
    path.write_bytes(nvidia_pickle({"G": generator, "D": critic, "G_ema": generator}, protocol=protocol))
    save_checkpoint(tmp_path / "x.safetensors", import_checkpoint(path))
    found = load_checkpoint(tmp_path / "x.safetensors")
    assert same(found.generator, generator) and same(found.trained, generator) and same(found.discriminator, critic)
    drawn, wanted = found.generator(case.z(), case.label()), generator(case.z(), case.label())
    assert torch.equal(drawn, wanted)
    assert torch.equal(found.discriminator(wanted, case.label()), critic(wanted, case.label()))
    assert found.notes["origin"] == "NVIDIA PyTorch pickle" and found.notes["origin_file"] == "x.pkl"
    assert len(found.notes["origin_sha256"]) == 64


@pytest.mark.skipif(ADA not in os.environ, reason=f"{ADA} names no checkout of the official code")
@pytest.mark.filterwarnings("ignore")
def test_what_the_official_code_pickles(tmp_path):
    case = Case(64, c_dim=3, clamp=256.0)
    generator, critic = ada_pair(case)
    with (tmp_path / "x.pkl").open("wb") as file:
        pickle.dump({"G": generator, "D": critic, "G_ema": generator}, file)
    found = import_checkpoint(tmp_path / "x.pkl")
    wanted = generator(case.z(), case.label(), noise_mode="const")
    drawn = found.generator(case.z(), case.label())
    assert (drawn - wanted).abs().max() <= TOLERANCE * wanted.abs().max()


def test_tensorflow_pickle(tmp_path):
    case = Case(64, base=512, most=16)
    generator, critic = case.generator(), Case(64, "resnet", base=512, most=16).discriminator()
    (tmp_path / "x.pkl").write_bytes(tensorflow_pickle(generator, critic))
    found = import_checkpoint(tmp_path / "x.pkl")
    assert found.notes["origin"] == "NVIDIA TensorFlow pickle"
    assert set(found.networks) == {"g_ema", "g", "d"}
    for name, tensor in generator.state_dict().items():
        # the biases of modulations are stored less one, which rounds
        assert torch.allclose(found.generator.state_dict()[name], tensor, atol=1e-6), name
    assert same(found.discriminator, critic)


def stored_networks(side: int = 64) -> dict[str, object]:
    """A checkpoint in rosinality's layout, with the numbers that the reference tensors were made with."""
    shape = {"channel_base": 4096, "channel_max": 64}
    generator = Generator(GeneratorConfig(side, z_dim=48, w_dim=48, mapping_layers=3, **shape))
    critic = Discriminator(DiscriminatorConfig(side, **shape))
    names = {
        "g": rosinality.write_generator(generator.config, generator.state_dict()),
        "d": rosinality.write_discriminator(critic.config, critic.state_dict()),
    }
    tensors = {
        key: {n: t if n.endswith("kernel") else rosinality_numbers(n, tuple(t.shape)) for n, t in stored.items()}
        for key, stored in names.items()
    }
    return {**tensors, "g_ema": tensors["g"], "latent_avg": numbers("latent_avg", (48,))}


@pytest.mark.parametrize("archive", [True, False])
def test_rosinality_to_safetensors_and_back(archive, tmp_path):
    stored = stored_networks()
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(3))])
    more = {"g_optim": optimizer.state_dict(), "args": argparse.Namespace(size=64, path="data"), "ada_aug_p": 0.0}
    torch.save({**stored, **more}, tmp_path / "x.pt", _use_new_zipfile_serialization=archive)
    save_checkpoint(tmp_path / "x.safetensors", import_checkpoint(tmp_path / "x.pt"))
    export_checkpoint(tmp_path / "back.pt", load_checkpoint(tmp_path / "x.safetensors"))
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert set(back) == set(stored)
    assert torch.equal(back["latent_avg"], stored["latent_avg"])
    for key in ("g", "g_ema", "d"):
        assert set(back[key]) == set(stored[key])
        assert all(torch.equal(back[key][name], stored[key][name]) for name in stored[key])


def test_rosinality_networks_draw_and_judge_the_same(tmp_path):
    torch.save(stored_networks(), tmp_path / "x.pt")
    found = import_checkpoint(tmp_path / "x.pt")
    z = torch.from_numpy(np.random.RandomState(1).randn(2, 48))
    pictures = found.generator(z, psi=0.7)[:, :, ::3, ::3].numpy()
    with np.load(REFERENCES, allow_pickle=False) as wanted:
        assert np.abs(pictures - wanted["rosinality.pictures"]).max() <= TOLERANCE * wanted["rosinality.largest"]
        scores = found.discriminator(numbers("pictures", (2, 3, 64, 64)) * 0.5).numpy()
        assert (
            np.abs(scores - wanted["rosinality.scores"]).max() <= TOLERANCE * np.abs(wanted["rosinality.scores"]).max()
        )


@pytest.mark.skipif(ROSINALITY not in os.environ, reason=f"{ROSINALITY} names no checkout of rosinality's code")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [64, 256])
def test_rosinality_code_that_runs_beside_ours(size, tmp_path):
    torch.save(rosinality_checkpoint(size), tmp_path / "x.pt")
    found = import_checkpoint(tmp_path / "x.pt")
    pictures, scores = rosinality_outputs(size)
    z = torch.from_numpy(np.random.RandomState(1).randn(2, 48))
    assert (found.generator(z, psi=0.7) - pictures).abs().max() <= TOLERANCE * pictures.abs().max()
    judged = found.discriminator(numbers("pictures", (2, 3, size, size)) * 0.5)
    assert (judged - scores).abs().max() <= TOLERANCE * scores.abs().max()


def test_what_a_rosinality_file_lacks_is_drawn_and_not_written_back(tmp_path):
    stored = stored_networks(16)
    bare = {name: tensor for name, tensor in stored["g"].items() if not name.startswith("noises.")}
    torch.save({"g_ema": bare}, tmp_path / "x.pt")
    found = import_checkpoint(tmp_path / "x.pt")
    assert found.notes["w_avg"] == found.notes["noise_const"] == "drawn"
    assert found.generator.mapping.w_avg.abs().sum() > 0
    assert same(found.generator, import_checkpoint(tmp_path / "x.pt").generator)
    export_checkpoint(tmp_path / "back.pt", found)
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert set(back) == {"g_ema"} and set(back["g_ema"]) == set(bare)


def test_networks_that_rosinality_has_no_place_for(tmp_path):
    with pytest.raises(UsageError, match="c_dim = 3"):
        export_checkpoint(tmp_path / "x.pt", Checkpoint(Case(64, c_dim=3, base=512, most=16).generator()))
    assert not any(tmp_path.iterdir())


MALICIOUS = (
    ("os.system", r"posix\.system|nt\.system"),
    ("eval", r"__builtin__\.eval"),
    ("exec, protocol 0", r"builtins\.exec"),
    ("getattr of a module", r"builtins\.getattr"),
    ("a call of data", "a call of a str"),
    ("a state for a builder", "a state for a Name"),
    ("code after persistent source", r"posix\.system"),
    ("truncated", "not a whole pickle"),
    ("a zip bomb", "compressed"),
    ("wrong magic", "begins like none"),
    ("a bomb of keys", "a tuple as a key"),
    ("an archive that executes", r"__builtin__\.exec"),
)


@pytest.mark.parametrize(("name", "told"), MALICIOUS)
def test_malicious_and_broken_files_are_refused(name, told, tmp_path):
    canary = tmp_path / "canary"
    path = malicious_files(tmp_path, canary)[name]
    with pytest.raises(WeightsError, match=told) as refused:
        import_checkpoint(path)
    assert path.name in str(refused.value) and refused.value.hint
    assert not canary.exists()


def test_python_itself_would_have_run_them(tmp_path):
    """The canary sings where a pickle is executed: otherwise the test above would show nothing."""
    canary = tmp_path / "canary"
    with malicious_files(tmp_path, canary)["eval"].open("rb") as file:
        pickle.load(file)  # noqa: S301
    assert canary.exists()


def test_source_text_is_dropped_unread(tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(nvidia_pickle({"G_ema": SMALL.generator()}, source=f"open({str(tmp_path / 'canary')!r}, 'w')"))
    import_checkpoint(path)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("count", range(1, 60, 7))
def test_a_file_cut_anywhere_is_refused(count, tmp_path):
    (tmp_path / "x.pkl").write_bytes(WHOLE[: len(WHOLE) * count // 60])
    with pytest.raises(WeightsError):
        import_checkpoint(tmp_path / "x.pkl")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_file_with_other_bytes_is_refused_or_read(data):
    """Whatever stands in a file, it gives networks or a WeightsError, never another error."""
    whole = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        # most of a checkpoint is numbers; the bytes that tell something lie at its ends and between the tensors
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder, suppress(WeightsError):
        path = Path(folder) / "x.pkl"
        path.write_bytes(whole)
        assert import_checkpoint(path).generator.config.resolution == 64


def test_tensors_stay_inside_their_storages(tmp_path):
    """A view may not reach beyond the numbers, nor repeat them into something larger than the file."""
    for size, stride in (((1000,), (1,)), ((10**9,), (0,)), ((2, -1), (1, 1))):
        path = tmp_path / "x.pt"
        torch.save({"t": torch.zeros(10)}, path)
        tensor = load_plain(path)["t"]
        forged = type(tensor)(tensor.storage, 0, size, stride)
        with pytest.raises(BrokenPickle):
            forged.tensor()


def test_only_names_of_the_table_build_something():
    class Thing:
        pass

    with pytest.raises(RefusedPickle, match=r"decimal\.Decimal"):
        read_pickle(io.BytesIO(b"\x80\x02cdecimal\nDecimal\nX\x01\x00\x00\x001\x85R."), {})
    built = read_pickle(io.BytesIO(b"\x80\x02cany\nThing\n)R."), {"any.Thing": Thing})
    assert isinstance(built, Thing)


@pytest.mark.parametrize(
    "data", [{}, [], {"G_ema": 3}, {"g_ema": {}}, {"g_ema": {"a": torch.zeros(2)}}, torch.zeros(3)]
)
def test_other_files_of_tensors_are_no_checkpoints(data, tmp_path):
    torch.save(data, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=r"x\.pt"):
        import_checkpoint(tmp_path / "x.pt")


def test_files_that_are_not_there_or_damaged(tmp_path):
    with pytest.raises(WeightsError, match="cannot read"):
        import_checkpoint(tmp_path / "no.pkl")
    with pytest.raises(WeightsError, match="there is no file"):
        load_checkpoint(tmp_path / "no.safetensors")
    path = Path(tmp_path / "x.safetensors")
    save_checkpoint(path, Checkpoint(SMALL.generator()))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="cannot read"):
        load_checkpoint(path)
