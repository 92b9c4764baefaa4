"""The job folder: artefacts that stand under their names only when whole."""

from animegen.jobs.arrays import load_arrays as load_arrays
from animegen.jobs.arrays import reading as reading
from animegen.jobs.arrays import save_arrays as save_arrays
from animegen.jobs.arrays import skeleton_array as skeleton_array
from animegen.jobs.arrays import skeleton_of as skeleton_of
from animegen.jobs.artefacts import artefact as artefact
from animegen.jobs.artefacts import artefact_folder as artefact_folder
from animegen.jobs.artefacts import write_text as write_text
from animegen.jobs.folder import JobFolder as JobFolder
from animegen.jobs.folder import digest as digest
