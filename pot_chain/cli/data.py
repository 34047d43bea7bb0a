"""``pot data``: publish a data set."""

from __future__ import annotations

from typing import Annotated

import typer

from pot_chain.cli.groups import with_groups
from pot_chain.cli.options import Target
from pot_chain.cli.output import Json, facts, print_json, stdout, waiting

app = typer.Typer(help="Publish data sets to train on.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Publish data sets to train on."""


@app.command("add")
@with_groups
def add(
    target: Target,
    source: Annotated[
        str, typer.Argument(metavar="PATH", help="Folder with x.npy and y.npy, an .npz file, or a built-in data set.")
    ],
    scale: Annotated[float, typer.Option("--scale", help="Divide the samples by this; 255 for 8-bit images.")] = 1.0,
    shard_samples: Annotated[
        int | None, typer.Option("--shard-samples", min=1, help="Samples in one shard. Default: about 1 MiB.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Cut a data set into shards, pin them, and print the CID of its manifest.

    PATH holds the arrays x (numbers, [samples, ...features]) and y (labels 0, 1, 2, …), and x_test and y_test if the
    test set is not to be split off. Put the CID into the task spec as manifest = "…" under [data].

    Examples:

    ```
    pot data add ./images --scale 255
    pot data add measurements.npz --json
    ```
    """
    from worker.data import load_source, pin_dataset

    with waiting("reading the data"):
        data = load_source(source, scale=scale)
    with target.open_store() as store, waiting("pinning the shards"):
        pinned = pin_dataset(data, store, shard_samples=shard_samples)
        backend = store.name
    manifest = pinned.manifest
    if as_json:
        print_json(
            {
                "cid": pinned.cid,
                "name": manifest.name,
                "samples": manifest.samples,
                "test_samples": manifest.test_samples,
                "features": manifest.features,
                "classes": manifest.classes,
                "shards": len(manifest.shards) + len(manifest.test_shards),
                "store": backend,
            }
        )
        return
    stdout().print(
        facts(
            [
                ("data set", manifest.name),
                ("manifest", pinned.cid),
                ("samples", f"{manifest.samples} to train on, {manifest.test_samples} to test with"),
                ("shape", f"{manifest.features}, {manifest.classes} classes"),
                ("kept by", f"{backend}, {len(manifest.shards) + len(manifest.test_shards)} shards"),
            ]
        )
    )
