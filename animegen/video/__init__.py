"""Reads and writes video: timeline, rotation, colour, sound."""

from animegen.video.source import VideoFile as VideoFile
from animegen.video.source import open_video as open_video
from animegen.video.streams import Chapter as Chapter
from animegen.video.streams import StreamInfo as StreamInfo
from animegen.video.timeline import Timeline as Timeline
