"""Reads and writes video: timeline, rotation, colour, sound."""

from animegen.video.beside import StreamPlan as StreamPlan
from animegen.video.encode import SegmentWriter as SegmentWriter
from animegen.video.joining import join as join
from animegen.video.joining import publish as publish
from animegen.video.joining import write_output as write_output
from animegen.video.plan import DEFAULT_SUFFIX as DEFAULT_SUFFIX
from animegen.video.plan import OutputPlan as OutputPlan
from animegen.video.plan import plan_output as plan_output
from animegen.video.plan import refuse_taken as refuse_taken
from animegen.video.shots import is_cut as is_cut
from animegen.video.shots import marked_shots as marked_shots
from animegen.video.source import VideoFile as VideoFile
from animegen.video.source import open_video as open_video
from animegen.video.streams import Chapter as Chapter
from animegen.video.streams import StreamInfo as StreamInfo
from animegen.video.timeline import Timeline as Timeline
from animegen.video.verification import Check as Check
from animegen.video.verification import VerifyReport as VerifyReport
from animegen.video.verification import verify as verify
