"""Training data: built-in and users' own, published as shards with a manifest, read back verified.

``load_source`` -> ``pin_dataset`` (the owner) -> ``fetch_manifest`` -> ``load_dataset`` -> ``Dataset.batch``
(everybody else).
"""

from worker.data.dataset import Batch, Dataset, fetch_manifest, load_dataset
from worker.data.errors import DataError
from worker.data.manifest import DatasetManifest, Shard
from worker.data.pinning import PinnedDataset, pin_dataset
from worker.data.sources import ArrayData, builtin_names, load_source
from worker.data.store import ContentStore

__all__ = [
    "ArrayData",
    "Batch",
    "ContentStore",
    "DataError",
    "Dataset",
    "DatasetManifest",
    "PinnedDataset",
    "Shard",
    "builtin_names",
    "fetch_manifest",
    "load_dataset",
    "load_source",
    "pin_dataset",
]
