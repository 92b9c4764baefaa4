"""Skirts made to measure: how they hang, on what, whose colours they take, what is left under them; and shorts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm import visibility
from animegen_vrm.cli import vrm
from animegen_vrm.garments import SHORTS_SUFFIX, SUFFIX, with_shorts, with_skirt, without_tie
from animegen_vrm.model import Avatar, Primitive
from animegen_vrm.proportions import measure_traits
from animegen_vrm.rig import BodyPose, Rig
from animegen_vrm.rigged import rigged_of
from animegen_vrm.surface import rest_positions
from animegen_vrm.tpose import bones_of, mesh_of
from click.testing import CliRunner
from dressed import FLAT, LEG, TROUSERS, dressed
from stick_avatar import places
from tiny_vrm import block_vrm, save

from animegen.avatar.options import AnimeOptions
from animegen.avatar.rigged_files import load_rigged, save_rigged
from animegen.errors import AnimegenError, InvalidValue
from animegen.identity.natural import draw_palette
from animegen.pipeline.anime import make_style
from animegen.pose.skeletons import AVATAR35
from animegen.protocols import PluginContext
from animegen.types import PARTS, Identity, Trait, Traits

COUNT = 4000


@pytest.fixture(scope="module")
def skirted() -> Avatar:
    return with_skirt(dressed())


def of_skirt(avatar: Avatar) -> tuple[Primitive, np.ndarray]:
    """The cloth of the skirt, without its lining, and where its vertices rest, f64 [V, 3]."""
    return avatar.primitives[-2], rest_positions(avatar)[-2]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is hidden is found out roughly."""
    monkeypatch.setattr(visibility, "_POINTS", 20_000)


def test_a_skirt_is_a_ring_of_cloth_from_the_waist_to_the_knees(skirted: Avatar) -> None:
    skirt, places_ = of_skirt(skirted)
    hip, knee = places()["leftUpperLeg"][1], places()["leftLowerLeg"][1]
    assert places_[:, 1].max() == pytest.approx(1.0, abs=0.02)  # the trousers' edge
    assert knee < places_[:, 1].min() < knee + 0.25 * (hip - knee)
    # Each edge but those of the waist and the hem is that of two facets.
    spots = np.unique(np.round(places_, 6), axis=0, return_inverse=True)[1].reshape(-1)[skirt.triangles]
    edges = np.sort(np.stack([spots, np.roll(spots, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    found, times = np.unique(edges, axis=0, return_counts=True)
    lone = found[times == 1]
    assert set(times) == {1, 2}
    assert (np.bincount(lone.ravel())[np.unique(lone)] == 2).all(), "an edge is open"


def test_no_facet_lies_within_the_legs_at_rest(skirted: Avatar) -> None:
    skirt, rest = of_skirt(skirted)
    corners = rest[skirt.triangles]
    for mix in ((1, 0, 0), (1, 1, 1), (1, 1, 0)):
        points = np.einsum("k,tkx->tx", np.array(mix) / sum(mix), corners)
        points = points[points[:, 1] < 0.9]  # where they begin
        for x in (-0.09, 0.09):
            assert (np.hypot(points[:, 0] - x, points[:, 2]) > LEG).all()


def test_cloth_hangs_on_what_lies_under_it(skirted: Avatar) -> None:
    posed = Rig(skirted).apply(BodyPose())
    mesh = mesh_of(skirted, posed)
    skirt, rest = of_skirt(skirted)
    weights = mesh.weights[-2 * len(rest) : -len(rest)]
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    assert (weights >= 0).all()
    number = {bone: i for i, bone in enumerate(bones_of(skirted, posed).bones)}
    left, right = weights[:, number["leftUpperLeg"]], weights[:, number["rightUpperLeg"]]
    hem, waist = rest[:, 1] < rest[:, 1].min() + FLAT, rest[:, 1] > rest[:, 1].max() - FLAT
    assert (weights[waist, number["hips"]] + weights[waist, number["spine"]] > 0.99).all()
    before = hem & (rest[:, 2] > 0)
    assert (left[before & (rest[:, 0] > 0.15)] > 0.8).all()
    assert (right[before & (rest[:, 0] < -0.15)] > 0.8).all()
    behind = hem & (rest[:, 2] < 0) & (np.abs(rest[:, 0]) > 0.09)
    assert (np.maximum(left, right)[behind].min() > 0.5) and (np.maximum(left, right)[behind] < 0.9).all()
    middle = hem & (np.abs(rest[:, 0]) < 0.015) & (rest[:, 2] > 0)
    np.testing.assert_allclose(left[middle], right[middle], atol=0.15)
    assert (left[middle] > 0.2).all()
    mirrored = rest * (-1, 1, 1)
    twin = np.linalg.norm(mirrored[:, None] - rest[None], axis=2).argmin(axis=1)
    np.testing.assert_allclose(left, right[twin], atol=0.02)
    assert skirt.joints.shape == skirt.weights.shape == (len(rest), 4)


def test_a_raised_knee_lifts_the_cloth_before_it(skirted: Avatar) -> None:
    rig = Rig(skirted)
    half = np.radians(80) / 2
    raised = rig.apply(BodyPose({"leftUpperLeg": np.array((-np.sin(half), 0, 0, np.cos(half)), np.float32)}))
    before, after = (mesh_of(skirted, posed).positions for posed in (rig.apply(BodyPose()), raised))
    count = len(of_skirt(skirted)[1])
    before, after = (each[-2 * count : -count] for each in (before, after))
    hem = (before[:, 1] < before[:, 1].min() + FLAT) & (before[:, 2] > 0.1)
    lifted = (after - before)[:, 1]
    assert (lifted[hem & (before[:, 0] > 0.06)] > 0.15).all()
    assert (np.abs(lifted[hem & (before[:, 0] < -0.13)]) < 0.05).all()


@pytest.mark.usefixtures("quick")
def test_it_takes_the_lower_clothes_colour_and_leaves_bare_legs(skirted: Avatar) -> None:
    made = rigged_of(skirted, COUNT)
    part = made.table[made.materials, 0]
    corners = made.positions[made.corners]
    middle = corners.mean(axis=1)
    knee = places()["leftLowerLeg"][1]
    leg = (np.abs(np.abs(middle[:, 0]) - 0.09) < LEG + 0.01) & (middle[:, 1] > 0.1)
    shin = leg & (middle[:, 1] < knee - 0.02)
    assert shin.any()
    assert (part[shin] == PARTS.index("skin")).all()
    assert len(np.unique(made.shades[made.corners[shin]])) == 1  # no seam, no pocket
    wide = np.hypot(middle[:, 0], middle[:, 2]) > 0.19
    skirt = wide & (middle[:, 1] > knee) & (middle[:, 1] < 0.75)
    assert skirt.sum() > 500
    assert (part[skirt] == PARTS.index("lower")).all()
    assert (made.table[made.materials[skirt], 4] > 0).all()  # outlined as the trousers are
    jacket = part == PARTS.index("upper")
    assert corners[jacket][..., 1].min() > 0.9  # what hung below the waistband
    own = np.array(made.about["palette"][PARTS.index("lower")])
    np.testing.assert_allclose(own, np.array(TROUSERS) ** (1 / 2.2), atol=0.03)
    assert made.weights.astype(int).sum(axis=1).tolist() == [255] * len(made.positions)


def test_traits_say_so(skirted: Avatar) -> None:
    assert skirted.name == "stick" + SUFFIX
    assert measure_traits(dressed())["skirt"] == 0.0
    assert measure_traits(skirted)["skirt"] == 1.0


def test_a_tie_goes_with_the_trousers() -> None:
    names = {a.materials[p.material].name for a in (with_skirt(dressed(tie=True)),) for p in a.primitives}
    assert "Accessory_Tie_01" not in names
    assert "jacket" in names


def test_legs_that_are_there_are_kept_and_even() -> None:
    """Where the body goes on under the trousers, its legs are shown, not theirs."""
    worn = dressed()
    legs = [replace(p, positions=p.positions * np.array((1, 1, 0.8), np.float32), material=3)
            for p in worn.primitives if p.material == 2]  # fmt: skip
    bare = with_skirt(replace(worn, primitives=(*worn.primitives, *legs)))
    shin = [place for p, place in zip(bare.primitives, rest_positions(bare), strict=True)
            if bare.materials[p.material].part == "skin" and place[:, 1].max() < 0.5]  # fmt: skip
    assert shin
    assert max(np.abs(place[:, 2]).max() for place in shin) < LEG - 0.005
    shown = {
        p.material for p, place in zip(bare.primitives, rest_positions(bare), strict=True) if place[:, 1].max() < 0.5
    }
    assert 2 not in shown


@pytest.mark.parametrize("missing", ["lower", "skin"])
def test_who_cannot_wear_one_is_named(missing: str) -> None:
    whole = dressed()
    without = tuple(replace(m, part=None) if m.part == missing else m for m in whole.materials)
    with pytest.raises(InvalidValue, match="'stick' cannot wear a skirt") as raised:
        with_skirt(replace(whole, materials=without))
    assert raised.value.hint


# Shorts


@pytest.fixture(scope="module")
def in_shorts() -> Avatar:
    return with_shorts(dressed(tie=True))


def lower_clothes(avatar: Avatar, part: str) -> np.ndarray:
    """Corners of all triangles of a part below the arms, at rest, f64 [T, 3, 3]."""
    found = [place[p.triangles] for p, place in zip(avatar.primitives, rest_positions(avatar), strict=True)
             if avatar.materials[p.material].part == part]  # fmt: skip
    corners = np.concatenate(found)
    return corners[corners[..., 1].max(axis=1) < 1.0]


def test_shorts_end_straight_above_the_knees_and_legs_are_bare(in_shorts: Avatar) -> None:
    hip, knee = places()["leftUpperLeg"][1], places()["leftLowerLeg"][1]
    shorts, legs = lower_clothes(in_shorts, "lower"), lower_clothes(in_shorts, "skin")
    hem = shorts[..., 1].min()
    assert knee + 0.1 * (hip - knee) < hem < knee + 0.4 * (hip - knee)
    assert legs[..., 1].max() == pytest.approx(hem, abs=FLAT)
    assert legs[..., 1].min() < 0.1
    # As much cloth and leg as there were trousers: nothing is torn, and nothing lies twice.
    whole = lower_clothes(dressed(), "lower")
    areas = [
        np.linalg.norm(np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0]), axis=1).sum() for c in (whole, shorts, legs)
    ]
    assert areas[0] == pytest.approx(areas[1] + areas[2], rel=1e-4)
    ring = shorts.reshape(-1, 3)[np.abs(shorts.reshape(-1, 3)[:, 1] - hem) < FLAT]
    assert (ring[:, 0] > 0).any() and (ring[:, 0] < 0).any()


def test_legs_in_shorts_move_with_the_thighs_and_shins(in_shorts: Avatar) -> None:
    rig = Rig(in_shorts)
    half = np.radians(60) / 2
    bent = rig.apply(BodyPose({"leftUpperLeg": np.array((-np.sin(half), 0, 0, np.cos(half)), np.float32)}))
    before, after = (mesh_of(in_shorts, posed).positions for posed in (rig.apply(BodyPose()), bent))
    left, right = (before[:, 1] < 0.5) & (before[:, 0] > 0.02), (before[:, 1] < 0.5) & (before[:, 0] < -0.02)
    assert ((after - before)[left, 2] > 0.2).all()
    np.testing.assert_allclose(after[right], before[right], atol=FLAT)


def test_shorts_say_so_and_have_no_tie(in_shorts: Avatar) -> None:
    assert in_shorts.name == "stick" + SHORTS_SUFFIX
    assert "Accessory_Tie_01" not in {in_shorts.materials[p.material].name for p in in_shorts.primitives}
    long, short = measure_traits(dressed())["trousers"], measure_traits(in_shorts)["trousers"]
    assert long > 0.9
    assert 0.2 < short < 0.5
    assert measure_traits(in_shorts)["skirt"] == 0.0
    assert 0.3 < measure_traits(with_skirt(dressed()))["trousers"] < 0.6


def test_a_tie_can_be_left_off() -> None:
    worn = dressed(tie=True)
    bare = without_tie(worn)
    assert len(bare.primitives) == len(worn.primitives) - 1
    assert "Accessory_Tie_01" not in {bare.materials[p.material].name for p in bare.primitives}
    assert bare.name == worn.name
    with pytest.raises(InvalidValue, match="'stick' wears no tie"):
        without_tie(bare)


def test_who_wears_shorts_gets_no_shorter_ones(in_shorts: Avatar) -> None:
    with pytest.raises(InvalidValue, match="'stick-shorts' wears shorts already"):
        with_shorts(in_shorts)


def test_who_has_no_trousers_gets_no_shorts() -> None:
    whole = dressed()
    without = tuple(replace(m, part=None) if m.part == "lower" else m for m in whole.materials)
    with pytest.raises(InvalidValue, match="'stick' cannot wear shorts"):
        with_shorts(replace(whole, materials=without))


# The command and the cast


@pytest.mark.usefixtures("quick")
def test_the_command_writes_those_named_in_skirts_and_shorts_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "avatars"
    folder.mkdir()
    for name in ("ann", "bob"):
        save(folder, block_vrm(), f"{name}.vrm")
    output = tmp_path / "out.safetensors"
    arguments = ["rigged", str(folder), "-o", str(output), "--count", "500", "--quiet"]
    result = CliRunner().invoke(vrm, [*arguments, "--skirt", "ann", "--shorts", "ann,bob"])
    assert result.exit_code == 0, result.output
    names = [avatar.about["name"] for avatar in load_rigged(output)[0]]
    assert names == ["ann", "ann-skirt", "ann-shorts", "bob", "bob-shorts"]
    refused = CliRunner().invoke(vrm, [*arguments, "--overwrite", "--no-tie", "bob"])
    assert "'bob' wears no tie" in refused.output + str(refused.exception)
    assert len(load_rigged(output)[0]) == len(names)  # what was there still is


@pytest.mark.parametrize("garment", ["skirt", "shorts"])
@pytest.mark.parametrize(("there", "worn", "named"), [("bob", "ann,eve", "eve"), ("ann-{}", "ann", "ann-{}")])
def test_an_unknown_name_and_one_that_would_be_there_twice_are_refused(
    garment: str, there: str, worn: str, named: str, tmp_path: Path
) -> None:
    for name in ("ann", there.format(garment)):
        save(tmp_path, block_vrm(), f"{name}.vrm")
    output = tmp_path / "out.safetensors"
    result = CliRunner().invoke(vrm, ["rigged", str(tmp_path), "-o", str(output), f"--{garment}", worn])
    assert isinstance(result.exception, SystemExit | AnimegenError)
    assert named.format(garment) in result.output + str(result.exception)
    assert not output.exists()


@pytest.mark.usefixtures("quick")
def test_people_are_played_in_what_they_wear(skirted: Avatar, in_shorts: Avatar, tmp_path: Path) -> None:
    path = tmp_path / "all.safetensors"
    save_rigged(path, [rigged_of(avatar, COUNT) for avatar in (dressed(), skirted, in_shorts)], AVATAR35)
    style = make_style(AnimeOptions(), PluginContext(weights={"avatar-anime": path}))
    skirt, legs, short = Trait(1.0, 0.7), Trait(0.0, 0.7), Trait(0.45, 0.7)
    for seen, wanted in (
        (Traits(), "stick"),
        (Traits(skirt=skirt), "stick-skirt"),
        (Traits(skirt=skirt, trousers=short), "stick-skirt"),
        (Traits(skirt=legs), "stick"),
        (Traits(skirt=legs, trousers=short), "stick-shorts"),
        (Traits(trousers=short), "stick-shorts"),
        (Traits(trousers=Trait(1.0, 0.7)), "stick"),
    ):
        for seed in range(4):
            person = Identity("person-1", draw_palette(seed), seen, style="", seed=seed)
            assert style.cast([person]) == [wanted]
