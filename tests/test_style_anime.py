"""The style anime, with a tiny network that nobody trained, and with the avatars that come with animegen."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from hashlib import sha256

import numpy as np
import pytest
import torch
from rigged_avatars import box_man

from animegen.avatar.checkpoint import save_generator
from animegen.avatar.config import AvatarConfig
from animegen.avatar.network import Generator
from animegen.avatar.options import AnimeOptions
from animegen.avatar.rigged_files import save_rigged
from animegen.builtin import animegen_styles
from animegen.config import ConvertConfig
from animegen.errors import UsageError, WeightsError
from animegen.pipeline.anime import make_style
from animegen.pipeline.stages import resolve
from animegen.pipeline.who import chosen_avatars
from animegen.pose.head import HUMAN_FACE
from animegen.pose.limbs import USUAL_LENGTHS
from animegen.pose.retarget import Proportions
from animegen.pose.skeletons import AVATAR35, BLAZEPOSE75, COCO17
from animegen.protocols import CastingStyle, PluginContext
from animegen.testing import check_style, synthetic_identity, synthetic_pose, synthetic_track
from animegen.types import Expression, RenderRequest, Track, Trait, Traits
from animegen.weights import fetch

BUILD = Proportions(USUAL_LENGTHS, 0.2, 1.4 * HUMAN_FACE).to_dict()
AVATARS = (
    ("Rin", {"hair_length": 1.0, "sleeves": 1.0, "skirt": 1.0, "head_to_height": 0.2}),
    ("Kei", {"hair_length": 0.2, "sleeves": 1.0, "skirt": 0.0, "head_to_height": 0.18}),
    ("Momo", {"hair_length": 0.5, "sleeves": 0.0, "skirt": 1.0, "head_to_height": 0.24}),
)
SAME_PICTURE = 1
"""Grey levels by which a picture may change when a person moves by whole pixels: positions are rounded differently."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("weights") / "avatar.safetensors", seed=3)


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("weights") / "heads.safetensors", seed=4, names=("Kei", "Rin"))


def untrained(path, seed, names=None, avatars=AVATARS):
    traits = dict(avatars)
    names = names or tuple(traits)
    torch.manual_seed(seed)
    config = AvatarConfig(
        AVATAR35, len(names), channels={4: 8, 8: 8, 16: 8, 32: 8}, largest_stage=64, latent=4, width=8, map_size=16
    )
    generator = Generator(config)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if "head.weight" in name:
                parameter.normal_(std=0.3)
            if "head.bias" in name:
                parameter.view(10, 4)[:] = torch.tensor([2.0] + 6 * [-0.5] + 3 * [-3.0])[:, None]
    entries = [{"name": name, "proportions": BUILD, "traits": traits[name]} for name in names]
    save_generator(path, generator, avatars=entries, dtype=torch.float16, notes={})
    return path


@pytest.fixture(scope="module")
def style(weights):
    return made(weights)


def made(weights, *avatars, heads=None, hands=None):
    options = AnimeOptions(avatars, heads=heads, hand_weights=hands)
    return make_style(options, PluginContext(weights={"avatar-anime": weights}))


def drawn(style, track, identity=None, frames=None):
    identity = identity or synthetic_identity(1)
    prepared = style.prepare(identity, track, ())
    wanted = [i for i in range(len(track.poses)) if frames is None or track.frame_indices[i] in frames]
    return style.render(
        [
            RenderRequest(identity, prepared, track.poses[i], track.frame_indices[i], Fraction(i, 25), 200.0, float(i))
            for i in wanted
        ]
    )


def test_the_contract(style):
    check_style(style)


def test_weights_of_ones_own_take_the_place_of_the_others(weights):
    config = ConvertConfig(settings={"style.weights": str(weights)})
    stages = resolve(config, print, kinds=("style",))
    assert stages.context.weights == {"avatar-anime": weights}
    assert stages.weight_hashes == {"avatar-anime": sha256(weights.read_bytes()).hexdigest()}
    assert stages.style().cast([replace(synthetic_identity(0), avatar="momo")]) == ["Momo"]


def test_weights_that_are_not_there_are_named(tmp_path):
    config = ConvertConfig(settings={"style.weights": str(tmp_path / "mine.safetensors")})
    with pytest.raises(WeightsError, match=r"mine\.safetensors"):
        resolve(config, print, kinds=("style",))


def test_weights_for_other_points_or_of_avatars_without_a_build_are_refused(tmp_path):
    for skeleton, avatar, refusal in (
        (COCO17, {"name": "Rin", "proportions": BUILD}, "driven by the skeleton 'coco17'"),
        (AVATAR35, {"name": "Rin"}, "too little of its avatars: 'proportions'"),
        (AVATAR35, {"name": "Rin", "proportions": {}}, "too little of its avatars: these proportions lack"),
    ):
        config = AvatarConfig(skeleton, 1, channels={4: 4}, largest_stage=8, latent=4, width=8, map_size=16)
        path = tmp_path / "w.safetensors"
        save_generator(path, Generator(config), avatars=[avatar], dtype=torch.float32, notes={})
        with pytest.raises(WeightsError, match=refusal) as caught:
            made(path)
        assert "vrm dataset" in caught.value.hint


def test_it_is_announced_with_its_options():
    spec = next(spec for spec in animegen_styles() if spec.name == "anime")
    assert spec.factory == "animegen.pipeline.anime:make_style"
    assert spec.options is AnimeOptions


def test_a_person_moved_by_a_pixel_is_the_same_picture_moved(style):
    track = synthetic_track(length=6, height=150.0)
    shift = np.float32([1.0, 0.0])
    poses = tuple(replace(p, xy=p.xy + shift, bbox=p.bbox + np.tile(shift, 2)) for p in track.poses)
    for one, other in zip(drawn(style, track), drawn(style, Track(0, track.frame_indices, poses)), strict=True):
        assert np.abs(one.rgba.astype(int) - other.rgba).max() <= SAME_PICTURE
        assert np.allclose(other.affine - one.affine, [[0, 0, 1], [0, 0, 0]], atol=1e-3)


def test_one_stage_serves_a_person_through_the_clip(style):
    small = synthetic_track(length=30, height=20.0)
    grows = tuple(synthetic_pose(height=20.0 + 3 * i, feet=(160.0, 220.0)) for i in range(30))
    sides = {len(sprite.rgba) for sprite in drawn(style, Track(0, tuple(range(30)), grows))}
    assert sides == {128}  # the largest stage, enlarged
    assert {len(sprite.rgba) for sprite in drawn(style, small)} == {32}


def test_the_canvas_holds_the_whole_avatar_and_is_steady(style):
    track = synthetic_track(length=40, step=(9.0, 0.0))
    prepared = style.prepare(synthetic_identity(1), track, ())
    assert prepared["score"][:, ~np.char.endswith(AVATAR35.points, "_tip")].all()
    assert np.abs(np.diff(prepared["canvas"][:, 2])).max() < 0.01 * prepared["canvas"][:, 2].mean()
    speed = np.diff(prepared["canvas"][:, 0])
    assert np.allclose(speed[10:-10], 9.0, atol=0.2)


def half_a_person():
    """A track of which the picture's lower border cuts off the legs."""
    pose = synthetic_pose(feet=(160.0, 300.0), height=260.0)
    score = pose.score.copy()
    legs = [
        i for i, name in enumerate(pose.skeleton.points) if any(w in name for w in ("knee", "ankle", "heel", "foot"))
    ]
    score[legs] = 0
    box = pose.bbox.copy()
    box[3] = 239  # the picture's last row
    return Track(0, tuple(range(5)), (replace(pose, score=score, bbox=box),) * 5)


def test_half_a_person_ends_where_they_are_cut(style):
    (sprite, *_) = drawn(style, half_a_person())
    bottom = sprite.affine[1, 2] + (len(sprite.rgba) - 1) * sprite.affine[1, 1]
    assert 238 <= bottom < 300


def test_a_frame_that_was_not_prepared_is_drawn_all_the_same(style):
    track = synthetic_track(length=3)
    identity = synthetic_identity(1)
    prepared = style.prepare(identity, track, ())
    (sprite,) = style.render([RenderRequest(identity, prepared, track.poses[0], 77, Fraction(3), 200.0, 1.0)])
    assert sprite.rgba[..., 3].any()


def test_the_face_reaches_the_generator(style):
    track = synthetic_track(length=1)
    face = Expression(blink_l=1.0, aa=0.5, gaze_y=-1.0, confidence=0.25)
    prepared = style.prepare(synthetic_identity(1), Track(0, (0,), (replace(track.poses[0], expression=face),)), ())
    assert prepared["expression"][0].tolist() == [0.5, 0, 0.25, 0, 0, 0, 0, 0, 0, -0.5]


def test_heads_are_drawn_once_more_and_laid_over_the_figure(weights, heads):
    track = synthetic_track(length=2, height=300.0)
    identity = replace(synthetic_identity(1), avatar="Kei")
    plain, whole = made(weights), made(weights, heads=heads)
    check_style(whole)
    for one, other in zip(drawn(plain, track, identity), drawn(whole, track, identity), strict=True):
        assert len(one.rgba) == len(other.rgba) == 3 * 64  # shown larger than the largest stage
        rows, columns = np.nonzero(np.abs(one.rgba.astype(int) - other.rgba).max(axis=2) > SAME_PICTURE)
        nose = track.poses[0].xy[track.poses[0].skeleton.index("nose")]
        x = other.affine[0, 0] * columns + other.affine[0, 2]
        y = other.affine[1, 1] * rows + other.affine[1, 2]
        assert max(np.abs(x - nose[0]).max(), np.abs(y - nose[1]).max()) < 80  # of 300 pixels, hair included
        assert len(rows) > 100


def with_fingers(track):
    """A track whose person stretches out both hands."""
    names, poses = track.poses[0].skeleton.points, []
    right, left = (names.index(f"{side}_wrist") for side in ("right", "left"))
    for pose in track.poses:
        xy = pose.xy.copy()
        for finger, way in (("index", (-20, 4)), ("pinky", (-20, -4)), ("thumb", (-10, 8))):
            xy[names.index(f"right_{finger}")] = xy[right] + way
            xy[names.index(f"left_{finger}")] = xy[left] + np.multiply(way, (-1, 1))
        poses.append(replace(pose, xy=xy))
    return Track(track.id, track.frame_indices, tuple(poses))


def test_hands_are_drawn_once_more_each_where_it_is(weights, heads):
    track = with_fingers(synthetic_track(length=2, height=300.0))
    identity = replace(synthetic_identity(1), avatar="Kei")
    whole = made(weights, hands=heads)
    check_style(whole)
    prepared = whole.prepare(identity, track, ())
    points = np.stack([pose.xy for pose in track.poses])
    for side, name in (("right", "right_hand"), ("left", "left_hand")):
        canvas = prepared[f"{name}_canvas"]
        middle = canvas[:, :2] + canvas[:, 2:] / 2
        wrist = points[:, track.poses[0].skeleton.index(f"{side}_wrist")]
        assert np.linalg.norm(middle - wrist, axis=1).max() < canvas[:, 2].max() / 2
        assert prepared[f"{name}_score"].all()
        own = prepared[f"{name}_xy"][:, AVATAR35.index("right_wrist")]
        assert ((own > 0.1) & (own < 0.9)).all()  # the generator is asked for a right hand
    assert not np.array_equal(drawn(whole, track, identity)[0].rgba, drawn(made(weights), track, identity)[0].rgba)


def test_hands_that_are_not_seen_are_left_as_they_are_and_come_in_slowly(weights, heads):
    track, identity = (
        with_fingers(synthetic_track(length=30, height=300.0)),
        replace(synthetic_identity(1), avatar="Kei"),
    )
    index = track.poses[0].skeleton.index("right_index")
    poses = []
    for i, pose in enumerate(track.poses):
        score = pose.score.copy()
        score[index] = 0.1 if i < 15 else 1.0
        poses.append(replace(pose, score=score))
    whole = made(weights, hands=heads)
    prepared = whole.prepare(identity, replace(track, poses=tuple(poses)), ())
    shown = prepared["right_hand_opacity"]
    assert shown[0] == 0 and shown[-1] == 1
    assert (np.diff(shown) >= 0).all() and np.diff(shown).max() < 0.4
    assert (prepared["left_hand_opacity"] == 1).all()


def test_the_hands_of_small_figures_are_left_as_they_are(weights, heads):
    track, identity = with_fingers(synthetic_track(length=1, height=80.0)), replace(synthetic_identity(1), avatar="Kei")
    whole = made(weights, hands=heads)
    assert "right_hand_xy" not in whole.prepare(identity, track, ())
    assert np.array_equal(drawn(whole, track, identity)[0].rgba, drawn(made(weights), track, identity)[0].rgba)


def test_an_avatar_without_a_head_of_its_own_is_drawn_whole(weights, heads):
    track = synthetic_track(length=1, height=300.0)
    identity = replace(synthetic_identity(1), avatar="Momo")
    (one,), (other,) = (drawn(made(weights, heads=own), track, identity) for own in (None, heads))
    assert np.array_equal(one.rgba, other.rgba)


def test_an_avatar_in_a_skirt_has_the_head_of_the_one_without(tmp_path, heads):
    named = [("Kei-skirt", AVATARS[1][1])]
    style = made(untrained(tmp_path / "avatars.safetensors", seed=6, avatars=named), heads=heads)
    assert "head_xy" in style.prepare(synthetic_identity(1), synthetic_track(length=1, height=300.0), ())


def test_heads_and_hands_are_drawn_once_more_only_where_they_are_asked_for(weights, heads):
    files = {"avatar-anime": weights, "avatar-anime-head": heads, "avatar-anime-hand": heads}
    track, identity = synthetic_track(length=1, height=300.0), replace(synthetic_identity(1), avatar="Kei")
    style = make_style(None, PluginContext(weights=files))
    assert not any(name.startswith(("head", "right_hand", "left_hand")) for name in style.prepare(identity, track, ()))


@pytest.mark.parametrize("option", ["heads", "hand_weights"])
def test_whole_figures_are_no_heads_and_no_hands(weights, option):
    figures = fetch("avatar-anime")
    with pytest.raises(WeightsError, match="whole figures") as error:
        make_style(AnimeOptions(**{option: figures}), PluginContext(weights={"avatar-anime": weights}))
    assert str(figures) in str(error.value)


def test_people_are_told_apart_while_avatars_last(style):
    people = [synthetic_identity(seed) for seed in range(7)]
    names = style.cast(people)
    assert sorted(names[:3]) == sorted(name for name, _ in AVATARS)
    assert sorted(names.count(name) for name, _ in AVATARS) == [2, 2, 3]


@pytest.mark.parametrize("wanted", [name for name, _ in AVATARS])
def test_the_avatar_is_the_one_that_is_most_like_the_person(style, wanted):
    traits = dict(AVATARS)[wanted]
    seen = Traits(**{name: Trait(value, 0.9) for name, value in traits.items() if name != "head_to_height"})
    for seed in range(5):
        assert style.cast([replace(synthetic_identity(seed), traits=seen)]) == [wanted]


def test_nobody_wears_a_skirt_who_is_not_seen_in_one(style):
    for seed in range(5):
        assert style.cast([replace(synthetic_identity(seed), traits=Traits())]) == ["Kei"]


def test_one_picture_tells_what_somebody_wears(tmp_path):
    worn = {"Long": (0.0, 1.0), "Short": (0.0, 0.4), "Skirt": (1.0, 0.4)}
    avatars = [(name, {"skirt": skirt, "trousers": length}) for name, (skirt, length) in worn.items()]
    style = made(untrained(tmp_path / "avatars.safetensors", seed=5, avatars=avatars))
    for name, (skirt, length) in worn.items():
        seen = Traits(skirt=Trait(skirt, 0.2), trousers=Trait(length, 0.2))
        assert style.cast([replace(synthetic_identity(1), traits=seen)]) == [name]
    stockings = Traits(skirt=Trait(1.0, 0.2))
    assert style.cast([replace(synthetic_identity(1), traits=stockings)]) == ["Skirt"]
    assert style.cast([replace(synthetic_identity(1), traits=Traits())]) == ["Long"]


def test_a_huge_head_among_the_avatars_makes_no_other_small(tmp_path):
    """A grown-up seen from above, whose head looks a fifth larger, of whom nothing else is known."""
    heads = {"Slim": 0.16, "Usual": 0.18, "Round": 0.2, "Huge": 0.3}
    avatars = [(name, {"head_to_height": head}) for name, head in heads.items()]
    style = made(untrained(tmp_path / "avatars.safetensors", seed=5, avatars=avatars))
    unknown, head = Trait(0.5, 0.0), Trait(0.17, 1.0)
    assert style.cast([replace(synthetic_identity(1), traits=Traits(unknown, unknown, unknown, head))]) == ["Round"]


def test_the_user_chooses(weights, style):
    people = [synthetic_identity(seed) for seed in range(3)]
    assert made(weights, "momo").cast(people)[0] == "Momo"
    assert made(weights, "Kei", "Kei", "Kei").cast(people) == ["Kei"] * 3
    pinned = [replace(people[0], avatar="rin"), *people[1:]]
    assert made(weights, "Kei", "Momo").cast(pinned)[:2] == ["Rin", "Momo"]
    with pytest.raises(UsageError, match="Otto") as caught:
        made(weights, "Otto").cast(people)
    assert "Rin, Kei, Momo" in caught.value.hint


def test_who_is_longest_on_the_screen_chooses_first(style, weights):
    assert isinstance(style, CastingStyle)
    people = [synthetic_identity(seed) for seed in range(2)]
    tracks = [synthetic_track(length=3, id=0), synthetic_track(length=9, id=1)]
    short, long = chosen_avatars(made(weights, "Kei", "Momo"), people, tracks)
    assert (long.avatar, short.avatar) == ("Kei", "Momo")


def test_the_palette_colours_the_picture(style):
    identity = synthetic_identity(1)
    other = replace(identity, palette=synthetic_identity(2).palette)
    track = synthetic_track(length=1)
    one, two = drawn(style, track, identity)[0].rgba, drawn(style, track, other)[0].rgba
    assert np.array_equal(one[..., 3], two[..., 3])
    assert np.abs(one[..., :3].astype(int) - two[..., :3]).mean() > 1


@pytest.fixture(scope="module")
def ponytailed(tmp_path_factory):
    """The style with a man whose ponytail swings."""
    man = box_man(ponytail=True)
    path = tmp_path_factory.mktemp("weights") / "rigged.safetensors"
    save_rigged(path, [replace(man, about={**man.about, "proportions": BUILD, "traits": {}})], AVATAR35)
    return make_style(None, PluginContext(weights={"avatar-anime": path}, rate=25.0))


def test_the_contract_holds_for_who_has_springs(ponytailed):
    check_style(ponytailed)


def walking(length=20, step=0.0):
    """A person of 200 pixels who is shifted to the right by ``step`` pixels a frame, forth and back."""
    pose = synthetic_pose(AVATAR35, height=200.0, feet=(300.0, 300.0))
    shifts = [step * (10 - abs(10 - i)) for i in range(length)]
    poses = [
        replace(pose, xy=pose.xy + np.float32((shift, 0)), bbox=pose.bbox + np.float32((shift, 0, shift, 0)))
        for shift in shifts
    ]
    return Track(0, tuple(range(length)), tuple(poses))


def test_hair_swings_while_somebody_walks_and_hangs_still_while_they_stand(ponytailed):
    identity = synthetic_identity(1)
    stands, walks = (ponytailed.prepare(identity, walking(step=step), ())["swing"] for step in (0.0, 8.0))
    assert stands.dtype == np.float16
    assert np.abs(stands.astype(float)).max() < 0.01
    assert np.abs(walks.astype(float)).max() > 0.1


def test_a_frame_outside_of_the_track_hangs_at_rest_and_one_inside_is_the_same_twice(ponytailed):
    track, identity = walking(step=8.0), synthetic_identity(1)
    prepared = ponytailed.prepare(identity, track, ())
    inside, outside = (
        RenderRequest(identity, prepared, track.poses[9], frame, Fraction(9, 25), 200.0) for frame in (9, 1000)
    )
    one, other, again = ponytailed.render([inside, outside, inside])
    (alone,) = ponytailed.render([inside])
    assert one.rgba.tobytes() == again.rgba.tobytes() == alone.rgba.tobytes()
    assert one.rgba.tobytes() != other.rgba.tobytes()
    assert not prepared["swing"][0].any()


def test_networks_have_nothing_that_swings(style):
    assert style.prepare(synthetic_identity(1), walking(length=3), ())["swing"].shape == (3, 0, 3)


def test_the_clip_tells_its_rate(ponytailed, tmp_path):
    track, identity = walking(step=1.0), synthetic_identity(1)
    weights = tmp_path / "rigged.safetensors"
    man = box_man(ponytail=True)
    save_rigged(weights, [replace(man, about={**man.about, "proportions": BUILD})], AVATAR35)
    stages = resolve(ConvertConfig(settings={"style.weights": str(weights)}), print, kinds=("style",))
    fast, slow = (stages.style(rate=rate).prepare(identity, track, ())["swing"] for rate in (60.0, 15.0))
    usual = stages.style().prepare(identity, track, ())["swing"]
    assert usual.tobytes() == stages.style(rate=30.0).prepare(identity, track, ())["swing"].tobytes()
    assert np.abs(fast.astype(float)).mean() > 1.5 * np.abs(slow.astype(float)).mean()


@pytest.fixture(scope="module")
def shipped():
    return make_style(None, PluginContext(weights={"avatar-anime": fetch("avatar-anime")}))


def test_the_avatars_that_come_with_it_keep_the_contract(shipped):
    check_style(shipped)


def test_they_are_what_the_style_asks_for():
    spec = next(spec for spec in animegen_styles() if spec.name == "anime")
    assert spec.weights == ("avatar-anime",)
    stages = resolve(ConvertConfig(), print, kinds=("style",))
    names = stages.style().cast([synthetic_identity(seed) for seed in range(10)])
    assert len(set(names)) == 10
    assert all(name.startswith(("eliza_", "godette_", "korii_")) for name in names)


def test_they_are_drawn_as_large_as_they_are_shown_with_nothing_laid_over(shipped):
    for height, stage in ((30.0, 64), (300.0, 448), (1800.0, 1024)):
        prepared = shipped.prepare(synthetic_identity(1), synthetic_track(length=2, height=height), ())
        assert (int(prepared["stage"]), int(prepared["scale"])) == (stage, 1)
        assert not any(name.startswith(("head", "left_hand", "right_hand")) for name in prepared)


def test_they_know_points_outside_of_the_canvas_and_networks_do_not(shipped, style):
    track, feet = half_a_person(), [i for i, name in enumerate(AVATAR35.points) if "ankle" in name]
    for one, known in ((shipped, 1), (style, 0)):
        prepared = one.prepare(synthetic_identity(1), track, ())
        assert (prepared["xy"][:, feet, 1] > 1).all()
        assert (prepared["score"][:, feet] == known).all()


def test_they_fill_the_canvas_down_to_where_half_a_person_is_cut(shipped):
    (sprite, *_) = drawn(shipped, half_a_person())
    assert sprite.rgba[-1, :, 3].any() and not sprite.rgba[0, :, 3].any()
    assert not sprite.rgba[:, [0, -1], 3].any()


def test_a_finger_of_which_no_point_drives_the_body_bends_by_itself(shipped):
    person = replace(synthetic_identity(1), avatar="eliza_rin")
    straight = synthetic_pose(BLAZEPOSE75, feet=(400.0, 900.0), height=800.0, facing="back")
    knuckle, *ring = (BLAZEPOSE75.index(f"right_hand_{i}") for i in range(13, 17))
    folded = straight.xy.copy()
    folded[ring[1:]] = 2 * folded[ring[0]] - folded[ring[1:]]
    sprites = []
    for xy in (straight.xy, folded):
        track = Track(0, (0,), (replace(straight, xy=xy),))
        assert (shipped.prepare(person, track, ())["hands"][..., 0] == 1).all()
        sprites += drawn(shipped, track, person)
    one, other = sprites
    rows, columns = np.nonzero(np.abs(one.rgba.astype(int) - other.rgba).max(axis=2) > SAME_PICTURE)
    assert len(rows) > 20
    for places, axis in ((columns, 0), (rows, 1)):
        away = one.affine[axis, axis] * places + one.affine[axis, 2] - straight.xy[knuckle, axis]
        assert np.abs(away).max() < 0.15 * 800
