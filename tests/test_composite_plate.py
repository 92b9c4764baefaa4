"""The clean background, on scenes whose true background is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from animegen.composite import Observation, PlateObserver, PlateSet, build_plates, frame_matte, person_matte
from animegen.errors import InputError, InvalidValue
from animegen.pose.skeletons import COCO17
from animegen.types import Float64Array, Frame, Mask, Pose, Uint8Array

SIZE = (320, 180)
RATE = Fraction(10)

STILL_LEVELS = 4.0
"""Mean grey levels of error behind a person before a still camera: samples are kept as JPEG, light is matched."""

MOVING_PSNR = 24.0
"""dB behind a person before a moving camera, where plates are resampled twice from a strongly textured scene."""


def texture(width: int, height: int, seed: int = 1) -> Uint8Array:
    """Blotches of many sizes: full of features, and nothing like a repeating pattern."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cell in (4, 9, 24, 60):
        grid = rng.uniform(-1, 1, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) * cell**0.4
    total = (total - total.min()) / (total.max() - total.min())
    return (total * 235 + 10).astype(np.uint8)


def person(x: float, y: float, width: float = 30, height: float = 90) -> Pose:
    """A rectangular person whose silhouette is given as a mask; no point is seen."""
    box = np.array([x, y, x + width, y + height], np.float32)
    affine = np.array([(width / 32, 0, x - width / 2), (0, height / 32, y - height / 2)], np.float64)
    alpha = np.zeros((64, 64), np.uint8)
    alpha[16:48, 16:48] = 255
    return Pose(COCO17, np.zeros((17, 2), np.float32), np.zeros(17, np.float32), box, mask=Mask(alpha, affine))


def filmed(
    scene: Callable[[int], Uint8Array], pose: Callable[[int], Pose | None], count: int
) -> list[tuple[Frame, list[Pose], Uint8Array]]:
    """Frames with their people painted flat red, and what is behind them."""
    film = []
    for i in range(count):
        truth = scene(i)
        image, poses = truth.copy(), [p for p in [pose(i)] if p is not None]
        for p in poses:
            x0, y0, x1, y1 = (round(float(v)) for v in p.bbox)
            image[max(y0, 0) : y1, max(x0, 0) : x1] = (230, 20, 30)
        film.append((Frame(i, i / RATE, image), poses, truth))
    return film


def plates_of(
    film: list[tuple[Frame, list[Pose], Uint8Array]],
    folder: Path,
    segment: int = 40,
    unseen: Mapping[int, Sequence[Pose]] | None = None,
) -> PlateSet:
    paths = []
    for start in range(0, len(film), segment):
        observer = PlateObserver(SIZE, RATE)
        for frame, poses, _ in film[start : start + segment]:
            observer.observe(frame, poses)
        paths.append(folder / f"{start}.npz")
        observer.finish().save(paths[-1])
    return build_plates(iter(paths), SIZE, folder / "plates", unseen or {})


def walking(i: int) -> Pose:
    return person(10 + 3.3 * i, 60)


def test_a_still_camera_gives_back_the_true_background(tmp_path: Path) -> None:
    background = texture(*SIZE)
    film = filmed(lambda i: background, walking, 80)
    plates = plates_of(film, tmp_path)
    for frame, poses, truth in film[5::15]:
        cleaned = plates.clean(frame, poses)
        inside = frame_matte(poses, SIZE) > 0
        assert np.abs(cleaned[inside].astype(int) - truth[inside]).mean() <= STILL_LEVELS
        assert np.array_equal(cleaned[~inside], frame.image[~inside]), "outside the mattes nothing changes"


def test_hair_beyond_the_matte_is_removed_and_a_ball_in_the_air_is_not(tmp_path: Path) -> None:
    background = texture(*SIZE)
    nose = COCO17.index("nose")

    def headed(i: int) -> Pose:
        pose = walking(i)
        xy, score = pose.xy.copy(), pose.score.copy()
        xy[nose], score[nose] = (pose.bbox[0] + 15, 64), 1.0
        return replace(pose, xy=xy, score=score)

    film = filmed(lambda i: background, headed, 60)
    for frame, (pose,), _ in film:
        middle = round(float(pose.bbox[0])) + 15
        cv2.circle(frame.image, (middle, 52), 6, (20, 10, 15), cv2.FILLED)
        cv2.circle(frame.image, (middle + 13, 47), 2, (250, 250, 40), cv2.FILLED)
    plates = plates_of(film, tmp_path)
    for frame, poses, truth in film[5::15]:
        cleaned, middle = plates.clean(frame, poses), round(float(poses[0].bbox[0])) + 15
        bun = slice(47, 57), slice(middle - 5, middle + 6)
        ball = slice(46, 49), slice(middle + 12, middle + 15)
        assert np.abs(frame.image[bun].astype(int) - truth[bun]).mean() > 10 * STILL_LEVELS
        assert np.abs(cleaned[bun].astype(int) - truth[bun]).mean() <= STILL_LEVELS
        assert np.array_equal(cleaned[ball], frame.image[ball])


def test_who_stood_there_and_was_not_found_is_no_background(tmp_path: Path) -> None:
    background = texture(*SIZE)

    def moving(i: int) -> Pose:
        return person(100, 60) if i < 30 else person(100 + 2.0 * (i - 30), 60)

    film = filmed(lambda i: background, moving, 60)
    lost = range(4, 22)
    found = [(frame, [] if frame.index in lost else poses, truth) for frame, poses, truth in film]
    plates = plates_of(found, tmp_path, unseen={index: film[index][1] for index in lost})
    frame, poses, truth = film[10]
    inside = frame_matte(poses, SIZE) > 0
    assert np.abs(plates.clean(frame, poses)[inside].astype(int) - truth[inside]).mean() <= STILL_LEVELS


def test_a_moving_camera_is_followed(tmp_path: Path) -> None:
    world = texture(800, 500)

    def scene(i: int) -> Uint8Array:
        angle = 0.03 * np.sin(i / 9)
        c, s = np.cos(angle), np.sin(angle)
        camera: Float64Array = np.array([(c, -s, 60 + 3.0 * i), (s, c, 80 + 30 * np.sin(i / 20))])
        return np.asarray(cv2.warpAffine(world, camera, SIZE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))

    film = filmed(scene, lambda i: person(150 + 40 * np.sin(i / 7), 50), 70)
    plates = plates_of(film, tmp_path)
    errors = []
    for frame, poses, truth in film[5:65:10]:
        cleaned = plates.clean(frame, poses)
        inside = frame_matte(poses, SIZE) > 0
        errors.append(np.square(cleaned[inside].astype(float) - truth[inside]).mean())
        assert np.array_equal(cleaned[~inside], frame.image[~inside])
    assert 10 * np.log10(255**2 / np.mean(errors)) >= MOVING_PSNR


def test_a_cut_is_not_filled_from_the_other_scene(tmp_path: Path) -> None:
    first, second = texture(*SIZE, seed=1), 255 - texture(*SIZE, seed=2)
    film = filmed(lambda i: first if i < 33 else second, lambda i: person(10 + 4 * (i % 33) + 60, 60), 66)
    plates = plates_of(film, tmp_path, segment=25)
    for frame, poses, truth in (film[31], film[36]):
        inside = frame_matte(poses, SIZE) > 0
        assert np.abs(plates.clean(frame, poses)[inside].astype(int) - truth[inside]).mean() <= STILL_LEVELS


def test_what_was_seen_long_before_fills_a_later_window(tmp_path: Path) -> None:
    """Somebody comes in after two seconds and then stands for two windows of samples."""
    background = texture(*SIZE)
    film = filmed(lambda i: background, lambda i: person(140, 60) if i >= 20 else None, 300)
    plates = plates_of(film, tmp_path, segment=150)
    frame, poses, truth = film[-1]
    inside = frame_matte(poses, SIZE) > 0
    assert np.abs(plates.clean(frame, poses)[inside].astype(int) - truth[inside]).mean() <= STILL_LEVELS


def test_what_is_never_seen_is_invented_once_and_does_not_show_the_person(tmp_path: Path) -> None:
    background = texture(*SIZE)
    film = filmed(lambda i: background, lambda i: person(140, 60), 30)
    plates = plates_of(film, tmp_path)
    cleaned = [plates.clean(frame, poses) for frame, poses, _ in film[::10]]
    assert all(np.array_equal(cleaned[0], other) for other in cleaned[1:]), "a still scene does not flicker"
    patch = cleaned[0][70:140, 145:165].astype(int)
    assert (patch[..., 0] - patch[..., 1]).mean() < 60, "no red is left"


def test_changing_light_is_followed(tmp_path: Path) -> None:
    background = texture(*SIZE)
    film = filmed(lambda i: (background * (0.6 + 0.4 * i / 60)).astype(np.uint8), walking, 60)
    plates = plates_of(film, tmp_path)
    for frame, poses, truth in film[5::25]:
        inside = frame_matte(poses, SIZE) > 0
        assert np.abs(plates.clean(frame, poses)[inside].astype(int) - truth[inside]).mean() <= 2 * STILL_LEVELS


def test_a_frame_without_people_is_returned_as_it_is(tmp_path: Path) -> None:
    background = texture(*SIZE)
    film = filmed(lambda i: background, lambda i: None, 12)
    plates = plates_of(film, tmp_path)
    frame = film[3][0]
    assert plates.clean(frame, []) is frame.image


def test_the_same_film_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    background = texture(*SIZE)
    film = filmed(lambda i: background, walking, 50)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = plates_of(film, tmp_path / "a"), plates_of(film, tmp_path / "b")
    for path in sorted((tmp_path / "a").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes(), path.name
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda item: first.clean(item[0], item[1]), reversed(film)))
    for (frame, poses, _), cleaned in zip(reversed(film), threaded, strict=True):
        assert np.array_equal(second.clean(frame, poses), cleaned)


def test_an_observation_comes_back_as_it_was(tmp_path: Path) -> None:
    observer = PlateObserver(SIZE, RATE)
    for frame, poses, _ in filmed(lambda i: texture(*SIZE), walking, 12):
        observer.observe(frame, poses)
    observed = observer.finish()
    observed.save(tmp_path / "scene.npz")
    read = Observation.load(tmp_path / "scene.npz")
    assert read.pictures == observed.pictures
    assert np.array_equal(read.to_sample, observed.to_sample)
    assert np.array_equal(read.people, observed.people)


def test_wrong_use_is_named(tmp_path: Path) -> None:
    observer = PlateObserver(SIZE, RATE)
    with pytest.raises(InvalidValue, match="before it saw a frame"):
        observer.finish()
    with pytest.raises(InvalidValue, match="320, 180"):
        observer.observe(Frame(0, Fraction(0), np.zeros((8, 8, 3), np.uint8)), [])
    film = filmed(lambda i: texture(*SIZE), walking, 6)
    plates = plates_of(film, tmp_path)
    with pytest.raises(InvalidValue, match="frame 99"):
        plates.clean(Frame(99, Fraction(0), film[0][0].image), film[0][1])


def test_a_damaged_plate_is_named_with_a_way_out(tmp_path: Path) -> None:
    folder = tmp_path / "Küche 雪"
    folder.mkdir()
    film = filmed(lambda i: texture(*SIZE), walking, 6)
    plates_of(film, folder)
    for path in sorted((folder / "plates").glob("plate-*.png")):
        path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(InputError, match=r"plate-00000\.png is damaged") as caught:
        PlateSet.load(folder / "plates").clean(film[0][0], film[0][1])
    assert str(folder / "plates") in caught.value.hint


def test_a_matte_covers_the_silhouette_and_ends_at_the_frame() -> None:
    for x, y in ((100.0, 40.0), (-20.0, 100.0), (305.0, -50.0)):
        matte = person_matte(person(x, y), SIZE)
        full = np.zeros((SIZE[1], SIZE[0]), np.uint8)
        full[matte.window] = matte.alpha
        rows, columns = slice(max(0, int(y) + 2), int(y) + 88), slice(max(0, int(x) + 2), int(x) + 28)
        assert (full[rows, columns] == 255).all()
    assert person_matte(person(400, 40), SIZE).alpha.size == 0


def test_a_pose_without_mask_is_covered_by_capsules() -> None:
    xy = np.zeros((17, 2), np.float32)
    for name, point in {
        "nose": (160, 30), "left_shoulder": (175, 50), "right_shoulder": (145, 50), "left_hip": (170, 100),
        "right_hip": (150, 100), "left_elbow": (190, 70), "left_wrist": (200, 90), "left_knee": (172, 130),
        "left_ankle": (172, 160),
    }.items():  # fmt: skip
        xy[COCO17.index(name)] = point
    score = (xy.sum(axis=1) > 0).astype(np.float32)
    pose = Pose(COCO17, xy, score, np.array([140, 15, 205, 165], np.float32))
    full = frame_matte([pose], SIZE)
    for x, y in ((160, 20), (160, 75), (195, 80), (203, 96), (171, 115), (172, 160)):
        assert full[y, x] == 255, f"({x}, {y}) belongs to the person"
    assert full[100, 60] == 0 and full[170, 280] == 0
