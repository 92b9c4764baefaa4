"""BVH: a skeleton with offsets and Euler channels, then one line of numbers a frame (Biovision's plain-text format)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from animegen.errors import InputError
from animegen.types import Float64Array
from animegen_vrm import quaternions

_AXES = {"X": 0, "Y": 1, "Z": 2}
_CHANNELS = tuple(axis + kind for axis in _AXES for kind in ("position", "rotation"))
_LARGEST_FILE = 256 * 1024 * 1024
_MOST_JOINTS = 1024
_MOST_CHANNELS = 6


@dataclass(slots=True, eq=False)
class Joint:
    """One joint of the file: its parent's index (-1: root), its offset from it, its channels, and where it ends."""

    name: str
    parent: int
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    channels: tuple[str, ...] = ()
    end: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Bvh:
    """A parsed file: joints, parents first, and their channels' values f64 [F, C] in the joints' order."""

    joints: tuple[Joint, ...]
    frame_time: float
    values: Float64Array

    def rotations(self) -> Float64Array:
        """World rotations of the joints in the file's own axes, f64 [F, J, 4]."""
        world = np.empty((len(self.values), len(self.joints), 4))
        column = 0
        for i, joint in enumerate(self.joints):
            turn = np.broadcast_to(quaternions.IDENTITY, (len(self.values), 4))
            for channel in joint.channels:
                if channel.endswith("rotation"):
                    axis = np.eye(3)[_AXES[channel[0]]]
                    turn = quaternions.multiply(turn, quaternions.about(axis, np.radians(self.values[:, column])))
                column += 1
            world[:, i] = turn if joint.parent < 0 else quaternions.multiply(world[:, joint.parent], turn)
        return world

    def root_positions(self) -> Float64Array:
        """Where the root is, f64 [F, 3], in the file's own axes and units."""
        positions = np.tile(np.asarray(self.joints[0].offset), (len(self.values), 1))
        for column, channel in enumerate(self.joints[0].channels):
            if channel.endswith("position"):
                positions[:, _AXES[channel[0]]] = self.values[:, column]
        return positions

    def rest_positions(self) -> tuple[Float64Array, Float64Array]:
        """Joints and where each ends (its end site, else itself) with all angles at zero, f64 [J, 3] both."""
        places = np.zeros((len(self.joints), 3))
        for i, joint in enumerate(self.joints):
            places[i] = joint.offset if joint.parent < 0 else places[joint.parent] + joint.offset
        ends = places + np.array([joint.end or (0.0, 0.0, 0.0) for joint in self.joints])
        return places, ends


@dataclass(slots=True)
class _Reader:
    """The file's lines, split into words, read one by one."""

    path: Path
    lines: list[list[str]]
    line: int = 0  # of the file, from 1: the one read last
    joints: list[Joint] = field(default_factory=list)

    def fail(self, fault: str) -> NoReturn:
        raise InputError(f"{self.path}, line {self.line}: {fault}", "Export the motion again as BVH, or leave it out.")

    def next(self, wanted: str) -> list[str]:
        """Words of the next line that is not empty."""
        while self.line < len(self.lines):
            self.line += 1
            if self.lines[self.line - 1]:
                return self.lines[self.line - 1]
        self.fail(f"the file ends where {wanted} should follow")

    def numbers(self, words: list[str], count: int, what: str) -> list[float]:
        """Finite numbers from words."""
        if len(words) != count:
            self.fail(f"{what} needs {count} numbers, got {len(words)}")
        try:
            values = [float(word) for word in words]
        except ValueError:
            self.fail(f"{what} needs numbers, got '{' '.join(words)[:60]}'")
        if not all(map(math.isfinite, values)):
            self.fail(f"{what} holds a number that is not finite")
        return values

    def expect(self, word: str) -> None:
        """The next line must begin with a word."""
        words = self.next(f"'{word}'")
        if words[0].upper() != word.upper():
            self.fail(f"'{word}' should stand here, got '{words[0][:40]}'")

    def hierarchy(self) -> None:
        """All joints, without recursion: nesting is as deep as a file likes."""
        self.expect("HIERARCHY")
        open_joints: list[int] = []
        while True:
            words = self.next("a joint")
            keyword = words[0].upper()
            if keyword in ("ROOT", "JOINT"):
                if (keyword == "ROOT") == bool(open_joints) or (keyword == "ROOT" and self.joints):
                    self.fail(f"a {keyword} may not stand here")
                if len(self.joints) >= _MOST_JOINTS:
                    self.fail(f"more than {_MOST_JOINTS} joints")
                self.joints.append(Joint(" ".join(words[1:]), open_joints[-1] if open_joints else -1))
                open_joints.append(len(self.joints) - 1)
                self.expect("{")
            elif keyword == "}" and open_joints:
                open_joints.pop()
                if not open_joints:
                    return
            elif open_joints:
                self.property(self.joints[open_joints[-1]], words)
            else:
                self.fail(f"a ROOT should stand here, got '{words[0][:40]}'")

    def property(self, joint: Joint, words: list[str]) -> None:
        """An offset, channels or the end site of the joint that is open."""
        keyword = words[0].upper()
        if keyword == "OFFSET":
            x, y, z = self.numbers(words[1:], 3, "OFFSET")
            joint.offset = (x, y, z)
        elif keyword == "CHANNELS":
            names = {name.lower(): name for name in _CHANNELS}
            channels = tuple(names.get(word.lower(), "") for word in words[2:])
            count = words[1] if len(words) > 1 else ""
            if count != str(len(channels)) or len(channels) > _MOST_CHANNELS or "" in channels:
                self.fail(f"CHANNELS of joint '{joint.name}' do not fit: '{' '.join(words[1:])[:80]}'")
            joint.channels = channels
        elif keyword == "END":
            self.expect("{")
            offset = self.next("OFFSET")
            if offset[0].upper() != "OFFSET":
                self.fail(f"'OFFSET' should stand here, got '{offset[0][:40]}'")
            x, y, z = self.numbers(offset[1:], 3, "OFFSET")
            joint.end = (x, y, z)
            self.expect("}")
        else:
            self.fail(f"'{words[0][:40]}' is no part of a joint")

    def motion(self) -> tuple[float, Float64Array]:
        """Frame time in seconds and the values f64 [F, C]."""
        self.expect("MOTION")
        words = self.next("'Frames:'")
        if words[0].lower() != "frames:" or len(words) != 2 or not words[1].isdecimal() or int(words[1]) < 1:
            self.fail(f"'Frames: NUMBER' should stand here, got '{' '.join(words)[:60]}'")
        frames = int(words[1])
        words = self.next("'Frame Time:'")
        if [word.lower() for word in words[:2]] != ["frame", "time:"]:
            self.fail(f"'Frame Time: SECONDS' should stand here, got '{' '.join(words)[:60]}'")
        (frame_time,) = self.numbers(words[2:], 1, "Frame Time")
        if not 1e-4 <= frame_time <= 10.0:
            self.fail(f"a frame time of {frame_time:g} s is out of range")
        if frames > len(self.lines) - self.line:  # before anything is made for that many
            self.line = len(self.lines)
            self.fail(f"the file ends before its {frames} frames do")
        columns = sum(len(joint.channels) for joint in self.joints)
        rows = [
            self.numbers(self.next(f"frame {i + 1} of {frames}"), columns, f"frame {i + 1} of {frames}")
            for i in range(frames)
        ]
        return frame_time, np.asarray(rows, np.float64).reshape(frames, columns)


def read_bvh(path: Path) -> Bvh:
    """Read a BVH file. Raises InputError with file, line and fault."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path} is larger than {_LARGEST_FILE >> 20} MiB", "Cut the motion into shorter clips.")
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    reader = _Reader(path, [line.split() for line in text.splitlines()])
    reader.hierarchy()
    frame_time, values = reader.motion()
    return Bvh(tuple(reader.joints), frame_time, values)
