"""Training data: what a sample is depends on the recipe and its number alone, and splits share no clip."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm import dataset
from animegen_vrm.dataset import RANDOM, RANDOM_VALIDATION, Recipe, Studio, describe, files, generate

from animegen.avatar.data import FRAMINGS, Dataset
from animegen.avatar.layers import ALPHA
from animegen.errors import AnimegenError, InputError, InvalidValue, UsageError
from animegen.pose.skeletons import AVATAR35

AVATARS = ("godette_ccby", "korii_churo_credit")
MOTIONS = ("8yr_old_skipping", "cmu1_jumping_jacks", "cmu_new_walk_sway", "fair1_dab")
SIZE = 64
ON_THE_FIGURE = 0.8
"""Share of visible points near drawn pixels: a few lie in front of hidden hands or on strands."""


@pytest.fixture(scope="module")
def recipe(shared: Path) -> Recipe:
    return Recipe(
        avatars=tuple(shared / "avatars" / f"{name}.vrm" for name in AVATARS),
        motions=tuple(shared / "motion" / f"{name}.bvh" for name in MOTIONS),
        size=SIZE,
        seed=3,
        hold_out=("fair1_dab",),
        tests=4,
    )


@pytest.fixture(scope="module")
def studio(recipe: Recipe) -> Studio:
    try:
        return Studio(recipe)
    except AnimegenError as error:
        if "OpenGL" in str(error):
            pytest.skip(f"nothing can be rendered here: {error}")
        raise


def names_of(paths: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(Path(name) for name in paths)


def test_a_sample_depends_on_its_number_alone(studio: Studio, recipe: Recipe) -> None:
    first, other, again = studio.sample(7), studio.sample(9), studio.sample(7)
    assert np.array_equal(first.layers, again.layers)
    assert np.array_equal(first.xy, again.xy)
    assert first.avatar == other.avatar
    assert not np.array_equal(first.layers, other.layers)
    elsewhere = Studio(replace(recipe, seed=4)).sample(7)
    assert not np.array_equal(first.xy, elsewhere.xy)


FARTHEST_STEP = 12.0
"""Pixels of 64 that no point of the calm test motion moves within a thirtieth of a second."""


@pytest.mark.usefixtures("studio")
def test_a_film_is_one_avatar_in_one_motion_before_one_camera(recipe: Recipe) -> None:
    films = Studio(replace(recipe, film=4))
    first, second = ([films.sample(4 * film + i) for i in range(4)] for film in (0, 1))
    assert {sample.avatar for sample in first} == {0}
    assert {sample.avatar for sample in second} == {1}
    for film in (first, second):
        assert len({(sample.clip, sample.framing) for sample in film}) == 1
        assert np.array_equal(film[0].expression, film[3].expression)
        steps = [np.linalg.norm(b.xy - a.xy, axis=1).max() for a, b in pairwise(film)]
        assert 0 < max(steps) < FARTHEST_STEP
    with pytest.raises(UsageError, match="3 samples do not fill 4"):
        replace(recipe, film=3)


def test_samples_show_what_they_say(studio: Studio, recipe: Recipe) -> None:
    header = describe(recipe)
    assert [avatar.name for avatar in header.avatars] == list(AVATARS)
    assert "SirRichard94" in header.avatars[0].credit
    for index in range(16):
        sample = studio.sample(index)
        assert sample.avatar == index % 2
        assert (header.clips[sample.clip].split == "test") == (index < recipe.tests)
        assert (sample.layers.max(axis=2) > 0).any()
        inside = ((sample.xy >= -0.5) & (sample.xy < SIZE - 0.5)).all(axis=1)
        assert np.array_equal(sample.visible == 1, inside)
        near = [
            sample.layers[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4, ALPHA].any()
            for x, y in np.rint(sample.xy[inside]).astype(int)
        ]
        assert np.mean(near) >= ON_THE_FIGURE


@pytest.mark.usefixtures("studio")
def test_of_hands_nothing_else_is_drawn_and_all_points_are_known(recipe: Recipe) -> None:
    hands, faces = Studio(replace(recipe, framing="hand")), Studio(replace(recipe, framing="face"))
    wrist, knuckle = (AVATAR35.index(f"right_{name}") for name in ("wrist", "index"))
    shown = 0
    for index in range(6):
        sample = hands.sample(index)
        assert FRAMINGS[sample.framing] == "hand" and sample.visible.all()
        assert ((sample.xy[[wrist, knuckle]] >= 0) & (sample.xy[[wrist, knuckle]] < SIZE)).all()
        drawn = sample.layers[..., ALPHA] > 127
        assert drawn.mean() < 0.6
        shown += bool(drawn.any())
    assert shown >= 4
    assert not faces.sample(4).visible.all()


def test_every_clip_has_one_split(recipe: Recipe) -> None:
    splits = {clip.name: clip.split for clip in recipe.clips()}
    assert splits[RANDOM] == "train"
    assert splits[RANDOM_VALIDATION] == "validation"
    assert [name for name, split in splits.items() if split == "test"] == ["fair1_dab"]
    assert sum(split == "validation" for split in splits.values()) == 3
    assert len(splits) == len(recipe.clips())


def test_a_stopped_run_goes_on_with_the_same_bytes(
    studio: Studio, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert studio  # where nothing can be rendered, nothing can be generated
    monkeypatch.setattr(dataset, "SHARD", 4)
    recipe = replace(recipe, avatars=recipe.avatars[:1])
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    generate(recipe, whole, 10, 2)
    generate(recipe, parts, 4, 1)
    generate(recipe, parts, 10, 1)
    for path in sorted(whole.iterdir()):
        assert path.read_bytes() == (parts / path.name).read_bytes(), path.name
    data = Dataset(whole)
    assert len(data) == 10
    assert len(Dataset(whole, "test")) == recipe.tests
    with pytest.raises(UsageError, match="ends with a shard of 2 samples"):
        generate(recipe, parts, 16, 1)
    with pytest.raises(InvalidValue, match="differs in made_by"):
        generate(replace(recipe, tests=3), whole, 10, 1)


def test_a_bad_avatar_stops_the_run_with_its_name(recipe: Recipe, tmp_path: Path) -> None:
    broken = tmp_path / "broken.vrm"
    broken.write_bytes(b"glTF")
    with pytest.raises(InputError, match=r"broken\.vrm"):
        generate(replace(recipe, avatars=(broken,)), tmp_path / "data", 4, 1)
    assert not (tmp_path / "data").exists()


def test_recipes_that_make_no_sense_are_refused() -> None:
    motions = names_of(("a.bvh", "b.bvh", "c.bvh", "d.bvh"))
    avatars = names_of(("x.vrm",))
    with pytest.raises(UsageError, match="no motion is named e"):
        Recipe(avatars, motions, SIZE, hold_out=("e",))
    with pytest.raises(UsageError, match="two are named x"):
        Recipe((*avatars, Path("other/x.vrm")), motions, SIZE)
    with pytest.raises(UsageError, match="test samples need motions"):
        Recipe(avatars, motions, SIZE, tests=5)
    with pytest.raises(UsageError, match="leave none to train on"):
        Recipe(avatars, motions, SIZE, hold_out=("a", "b"))


def test_folders_without_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "b.VRM").touch()
    (tmp_path / "a.vrm").touch()
    (tmp_path / "readme.txt").touch()
    assert [path.name for path in files(tmp_path, (".vrm",))] == ["a.vrm", "b.VRM"]
    assert files(tmp_path / "a.vrm", (".vrm",)) == (tmp_path / "a.vrm",)
    with pytest.raises(InputError, match=r"holds no \.bvh or \.vrma file"):
        files(tmp_path, (".bvh", ".vrma"))
