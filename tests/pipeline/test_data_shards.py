"""Indexes of photographs that stay in their files: offsets, digests, and what is wrong with a file or is missing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.data import shards, sources, tensors
from pipeline.data.tensors import DataError, ImageShards
from tests.pipeline.photographs import ALBUM, SIZE, SPLITS, photograph, write_album, write_shard
from tests.pipeline.test_data_sources import FAKE_HUB, prepare_elsewhere


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root that mirrors the album."""
    monkeypatch.setitem(sources.PUBLISHED, "album", ALBUM)
    write_album(tmp_path / "root" / "album")
    return tmp_path / "root"


def prepared(root: Path, cache: Path) -> ImageShards:
    dataset = tensors.load(sources.prepare("album", cache, root))
    assert isinstance(dataset, ImageShards)
    return dataset


def stored(dataset: ImageShards) -> list[bytes]:
    """The bytes at every sample's place."""
    places = zip(dataset.offsets.tolist(), dataset.lengths.tolist(), strict=True)
    files = [Path(dataset.shard_of(sample)[0].file).read_bytes() for sample in range(len(dataset.labels))]
    return [file[offset : offset + length] for file, (offset, length) in zip(files, places, strict=True)]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_every_photograph_is_where_the_index_says(compression: str, root: Path, tmp_path: Path) -> None:
    write_album(root / "album", compression)
    dataset = prepared(root, tmp_path / "cache")
    originals = [
        row["bytes"]
        for name in SPLITS
        for row in pq.read_table(root / "album" / f"{name}.parquet")["image"].to_pylist()
    ]
    assert stored(dataset) == originals
    assert dataset.labels.tolist() == [number % 7 for number in range(18)]
    assert (dataset.train_samples, dataset.test_samples, dataset.input_shape, dataset.classes) == (
        13,
        5,
        (3, SIZE, SIZE),
        7,
    )
    assert [dataset.shard_of(sample)[1] for sample in (0, 7, 8, 12, 13, 17)] == [0, 7, 0, 4, 0, 4]
    assert [dataset.shard_of(sample)[0].name for sample in (7, 8, 13)] == [f"{name}.parquet" for name in SPLITS]
    assert sources.known_shape("album") == (dataset.input_shape, dataset.classes)


def test_what_is_stored_as_it_is_is_not_copied(root: Path, tmp_path: Path) -> None:
    dataset = prepared(root, tmp_path / "cache")
    assert {shard.file for shard in dataset.shards} == {str(root / "album" / f"{name}.parquet") for name in SPLITS}
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["album.safetensors"]


def test_photographs_that_are_alike_have_places_of_their_own(root: Path, tmp_path: Path) -> None:
    """As values of a dictionary they stand in the file once: such a shard is unpacked."""
    file = root / "album" / "train-00000-of-00002.parquet"
    write_shard(file, [photograph(0)] * 8, [0] * 8)
    offsets = prepared(root, tmp_path / "cache").offsets[:8].tolist()
    assert offsets == sorted(set(offsets))
    table = pq.read_table(file)
    pq.write_table(table, file, compression="none", use_dictionary=True)
    dataset = prepared(root, tmp_path / "cache")
    assert stored(dataset)[:8] == [photograph(0)] * 8
    assert Path(dataset.shards[0].file).name == "train-00000-of-00002.images"


def test_the_digest_is_of_what_is_shown_and_not_of_where_it_is(root: Path, tmp_path: Path) -> None:
    digests = {prepared(root, tmp_path / "a").content_digest()}
    write_album(root / "album", "zstd")
    digests.add(prepared(root, tmp_path / "b").content_digest())
    assert len(digests) == 1
    encoded = [photograph(number) for number in range(90, 95)]
    write_shard(root / "album" / "validation-00000-of-00001.parquet", encoded, [0] * 5)
    digests.add(prepared(root, tmp_path / "c").content_digest())
    assert len(digests) == 2


def test_an_index_is_made_once_and_anew_for_other_shards(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    index = shards.index
    monkeypatch.setattr(shards, "index", lambda *given: made.append(given) or index(*given))
    for _ in range(2):
        prepared(root, tmp_path / "cache")
    assert len(made) == 1
    write_shard(root / "album" / "validation-00000-of-00001.parquet", [photograph(0)] * 5, [0] * 5)
    prepared(root, tmp_path / "cache")
    assert len(made) == 2


def lose_a_shard(folder: Path) -> None:
    (folder / "train-00001-of-00002.parquet").unlink()


def lose_the_judged(folder: Path) -> None:
    (folder / "validation-00000-of-00001.parquet").unlink()


def truncate(folder: Path) -> None:
    file = folder / "train-00001-of-00002.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def damage_a_page(folder: Path) -> None:
    file = folder / "train-00001-of-00002.parquet"
    content = bytearray(file.read_bytes())
    content[4:100] = bytes(96)
    file.write_bytes(content)


def rewrite(
    folder: Path, encoded: dict[int, bytes | None] | None = None, labels: dict[int, int | None] | None = None
) -> None:
    """The second shard with some rows changed."""
    images = {row: photograph(8 + row) for row in range(5)} | (encoded or {})
    numbers = dict.fromkeys(range(5), 1) | (labels or {})
    write_shard(folder / "train-00001-of-00002.parquet", list(images.values()), list(numbers.values()))


def other_columns(folder: Path) -> None:
    table = pa.table({"img": [{"bytes": photograph(8)}] * 5, "label": [1] * 5})
    pq.write_table(table, folder / "train-00001-of-00002.parquet")


def plain_bytes(folder: Path) -> None:
    pq.write_table(pa.table({"image": [photograph(8)] * 5, "label": [1] * 5}), folder / "train-00001-of-00002.parquet")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_a_shard, r"album: .*album holds 8 train rows, not 13; missing: train-00001-of-00002.parquet"),
        (lose_the_judged, r"album: there is no \*validation\*.parquet in .*album"),
        (truncate, r"train-00001-of-00002.parquet cannot be read as parquet files of images: .*\nFetch the file again"),
        (damage_a_page, "train-00001-of-00002.parquet cannot be read as parquet files of images"),
        (other_columns, "train-00001-of-00002.parquet has no column 'image.bytes'; it has img.bytes, label"),
        (plain_bytes, "train-00001-of-00002.parquet has no column 'image.bytes'; it has image, label"),
        (lambda f: rewrite(f, {3: b"<html>"}), "train-00001-of-00002.parquet .*: the image in row 3 is damaged"),
        (lambda f: rewrite(f, {2: None}), "train-00001-of-00002.parquet .*: row 2 has no image"),
        (lambda f: rewrite(f, labels={4: 7}), r"train-00001-.* row 4 has the label 7, it must be in 0\.\.6"),
        (lambda f: rewrite(f, labels={0: None}), r"train-00001-.* row 0 has the label None, it must be in 0\.\.6"),
        (
            lambda f: write_shard(f / "train-9.parquet", [photograph(9)], [0]),
            "holds 14 train rows, not 13; found: train-0",
        ),
    ],
)
def test_what_is_wrong_with_a_shard_is_named(
    damage: Callable[[Path], None], message: str, root: Path, tmp_path: Path
) -> None:
    damage(root / "album")
    with pytest.raises(DataError, match=message) as refusal:
        prepared(root, tmp_path / "cache")
    assert len(str(refusal.value).splitlines()) <= 2
    assert not (tmp_path / "cache" / "album.safetensors").exists()


def test_a_shard_that_is_gone_or_changed_when_training_begins_is_named(root: Path, tmp_path: Path) -> None:
    dataset = prepared(root, tmp_path / "cache")
    dataset.require_files()
    file = root / "album" / "train-00001-of-00002.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(DataError, match=rf"{file} has {len(content) - 1} bytes, {len(content)} when it was indexed"):
        dataset.require_files()
    file.unlink()
    with pytest.raises(
        DataError, match=rf"album: {file}, with the photographs of {file.name}, cannot be read: No such"
    ):
        dataset.require_files()


def test_an_index_is_of_one_length(root: Path, tmp_path: Path) -> None:
    dataset = prepared(root, tmp_path / "cache")
    fields = {name: getattr(dataset, name) for name in (*dataset.FACTS, *dataset.TENSORS)}
    for changes, message in (
        ({"checks": dataset.checks[1:]}, r"'album': checks has shape \[17\], its shards have 18 rows"),
        ({"lengths": dataset.lengths.float()}, "lengths has dtype torch.float32, it must be torch.int64"),
        ({"train_samples": 18}, "18 of 18 samples are trained on"),
        ({"labels": dataset.labels + 1}, r"labels are in 1\.\.7, they must be in 0\.\.6"),
    ):
        with pytest.raises(DataError, match=message):
            ImageShards(**{**fields, **changes})


HUB = (
    FAKE_HUB.replace('sources.Published("nobody/toys", "picture", "kind", (3, 4, 5), (7, 3), 2, "divide:255")', "ALBUM")
    .replace("nobody/toys", "nobody/album")
    .replace('"toys"', '"album"')
    .replace("import sources, tensors\n", "import sources, tensors\nfrom tests.pipeline.photographs import ALBUM\n")
)


def fetched(program: str, root: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    program = program.replace("sys.argv[1]", repr(str(root / "album"))).replace(
        "sys.argv[2]", repr(str(tmp_path / "c"))
    )
    return prepare_elsewhere(program, {"HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"})


def test_the_hubs_shards_are_fetched_once_and_kept(root: Path, tmp_path: Path) -> None:
    done = fetched(HUB, root, tmp_path)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert (outcome["source"], outcome["fetched"]) == ("hub:nobody/album@main", 3)
    assert outcome["digest"] == prepared(root, tmp_path / "d").content_digest()
    kept = tensors.load(tmp_path / "c" / "album.safetensors")
    assert {Path(shard.file).parents[1] for shard in kept.shards} == {tmp_path / "c" / "album.shards"}
    kept.require_files()


def test_a_shard_that_the_hub_did_not_publish_so_is_deleted(root: Path, tmp_path: Path) -> None:
    """The server gives other digests than its files have: as if a file had been damaged on its way."""
    done = fetched(HUB.replace('"sha256": digest', '"sha256": "0" * 64'), root, tmp_path)
    assert done.returncode == 1
    last = "train-00000-of-00002.parquet is not what the hub published, and is deleted."
    assert last in done.stderr
    left = {file.name for file in (tmp_path / "c" / "album.shards" / "plain_text").iterdir()}
    assert left == {"train-00001-of-00002.parquet", "validation-00000-of-00001.parquet"}


def test_missing_shards_are_told_by_their_numbers() -> None:
    files = [Path(f"data/train-{number:05d}-of-00004.parquet") for number in (0, 2)]
    assert shards.absent(files) == ["train-00001-of-00004.parquet", "train-00003-of-00004.parquet"]
    assert shards.absent([Path("train.parquet")]) == []


def test_the_sample_is_what_its_file_holds(data_root: Path, tmp_path: Path) -> None:
    """All its photographs are trained on and judged; it is compressed, so it is unpacked."""
    dataset = tensors.load(sources.prepare("imagenet-sample", tmp_path, data_root))
    (file,) = (data_root / "imagenet-sample").glob("*.parquet")
    table = pq.read_table(file)
    assert stored(dataset) == [row["bytes"] for row in table["image"].to_pylist()] * 2
    assert dataset.labels.tolist() == table["label"].to_pylist() * 2 == [*range(0, 1000, 10)] * 2
    assert (dataset.train_samples, dataset.test_samples, dataset.classes) == (100, 100, 1000)
    assert dataset.input_shape == (3, 224, 224)
    assert torch.equal(dataset.offsets[:100], dataset.offsets[100:])
