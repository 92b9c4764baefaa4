"""The job folder: artefacts that stand under their names only when whole."""

from animegen.jobs.arrays import load_arrays as load_arrays
from animegen.jobs.arrays import reading as reading
from animegen.jobs.arrays import save_arrays as save_arrays
from animegen.jobs.arrays import skeleton_array as skeleton_array
from animegen.jobs.arrays import skeleton_of as skeleton_of
from animegen.jobs.artefacts import artefact as artefact
from animegen.jobs.artefacts import artefact_folder as artefact_folder
from animegen.jobs.artefacts import write_text as write_text
from animegen.jobs.artefacts import writing as writing
from animegen.jobs.digests import digest as digest
from animegen.jobs.digests import digest_of as digest_of
from animegen.jobs.digests import size_of as size_of
from animegen.jobs.folder import JobFolder as JobFolder
from animegen.jobs.folder import beside as beside
from animegen.jobs.folder import flatten as flatten
from animegen.jobs.lines import append_line as append_line
from animegen.jobs.lines import read_lines as read_lines
from animegen.jobs.lock import Holder as Holder
from animegen.jobs.lock import locked as locked
from animegen.jobs.space import check_space as check_space
from animegen.jobs.space import free_bytes as free_bytes
from animegen.jobs.space import in_words as in_words
