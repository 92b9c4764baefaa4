"""Recognition: who of a clip is who of a cast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from animegen.identity import describe, distance, recognise
from animegen.identity.options import AppearanceOptions
from animegen.identity.preserver import make_preserver
from animegen.protocols import ComparingPreserver, IdentityPreserver, PluginContext
from animegen.testing import check_identity_preserver, synthetic_crop, synthetic_identity, synthetic_track
from animegen.types import Crop, Identity, Track


def person(key: str, place: float) -> Identity:
    return replace(synthetic_identity(0), key=key, embedding=np.array([place], np.float32))


class Places:
    """People are alike who stand near each other on a line; beyond 1 they are two."""

    def enroll(self, track: Track, crops: Sequence[Crop]) -> Identity:
        raise NotImplementedError

    def difference(self, a: Identity, b: Identity) -> float | None:
        if a.embedding is None or b.embedding is None:
            return None
        return abs(float(a.embedding[0] - b.embedding[0]))

    def match(self, identity: Identity, gallery: Sequence[Identity]) -> int | None:
        raise NotImplementedError


class Keys:
    """Tells nothing but whether two are the same."""

    def enroll(self, track: Track, crops: Sequence[Crop]) -> Identity:
        raise NotImplementedError

    def match(self, identity: Identity, gallery: Sequence[Identity]) -> int | None:
        return next((i for i, known in enumerate(gallery) if known.key == identity.key), None)


def never(i: int, j: int) -> bool:
    return i == j


def always(i: int, j: int) -> bool:
    del i, j
    return True


def test_all_are_told_apart_at_once_and_not_one_by_one() -> None:
    people = [person("x", 0.4), person("y", 0.0)]
    gallery = [person("a", 0.45), person("b", 1.2)]
    # the second is nearer to the first of the gallery than to the other, but only together all are found
    assert recognise(Places(), people, gallery, always) == [1, 0]


def test_one_may_be_found_twice_who_is_never_seen_together() -> None:
    people = [person("x", 0.0), person("y", 0.3), person("z", 5.0)]
    gallery = [person("a", 0.1)]
    assert recognise(Places(), people, gallery, never) == [0, 0, None]
    assert recognise(Places(), people, gallery, always) == [0, None, None]


def test_two_entries_of_one_person_are_one() -> None:
    people = [person("x", 0.0), person("y", 0.5)]
    gallery = [person("a", 0.0), person("a", 0.5)]
    assert recognise(Places(), people, gallery, always) in ([0, None], [None, 1])
    assert recognise(Places(), people, gallery, never) == [0, 1]


def test_who_has_no_look_is_nobody_of_the_gallery() -> None:
    unknown = replace(person("x", 0.0), embedding=None)
    assert recognise(Places(), [unknown], [person("a", 0.0)], never) == [None]
    assert recognise(Places(), [], [person("a", 0.0)], never) == []
    assert recognise(Places(), [person("x", 0.0)], [], never) == [None]


def test_a_preserver_that_only_matches_serves_too() -> None:
    people = [person("b", 0.0), person("c", 0.0)]
    gallery = [person("a", 0.0), person("b", 0.0)]
    assert recognise(Keys(), people, gallery, never) == [1, None]


@pytest.fixture
def preserver() -> IdentityPreserver:
    return make_preserver(None, PluginContext())


def crops_of(seed: int, shift: float = 0.0) -> list[Crop]:
    track = synthetic_track(length=4, id=seed)
    moved = [replace(pose, xy=pose.xy + np.float32(shift)) for pose in track.poses]
    return [synthetic_crop(pose, synthetic_identity(seed), i) for i, pose in enumerate(moved)]


def test_the_contract(preserver: IdentityPreserver) -> None:
    check_identity_preserver(preserver)


def test_people_are_known_by_their_looks(preserver: IdentityPreserver) -> None:
    assert isinstance(preserver, ComparingPreserver)
    known = [preserver.enroll(synthetic_track(length=4, id=seed), crops_of(seed)) for seed in range(4)]
    for seed in range(4):
        again = preserver.enroll(synthetic_track(length=4, id=9), crops_of(seed, shift=1.5))
        assert preserver.match(again, known) == seed
        assert preserver.match(again, [who for i, who in enumerate(known) if i != seed]) is None
    assert preserver.difference(known[0], replace(known[1], embedding=None)) is None


def test_without_pictures_there_is_no_look(preserver: IdentityPreserver) -> None:
    assert preserver.enroll(synthetic_track(length=4), ()).embedding is None


def test_a_child_and_an_adult_in_the_same_clothes_look_different() -> None:
    adult = crops_of(0)

    def child(crop: Crop) -> Crop:
        pose = crop.pose
        head = [i for i, name in enumerate(pose.skeleton.points) if "ear" in name]
        legs = [i for i, name in enumerate(pose.skeleton.points) if "knee" in name or "ankle" in name]
        hips = pose.xy[[pose.skeleton.index(f"{side}_hip") for side in ("left", "right")]].mean(axis=0)
        xy = pose.xy.copy()
        xy[head] = xy[head].mean(axis=0) + 1.8 * (xy[head] - xy[head].mean(axis=0))
        xy[legs] = hips + 0.6 * (xy[legs] - hips)
        return replace(crop, pose=replace(pose, xy=xy))

    assert distance(describe(adult), describe([child(crop) for crop in adult])) > distance(
        describe(adult), describe(crops_of(0, shift=1.0))
    )


def test_options_name_the_value() -> None:
    with pytest.raises(ValueError, match="got 2"):
        AppearanceOptions(max_distance=2)
