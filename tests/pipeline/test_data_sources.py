"""Where data sets come from: digits, mirrors, the hub, the user's own; and when a cache is made anew."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pipeline.data import sources, tensors
from pipeline.data.sources import Published, PublishedText
from pipeline.data.tensors import DataError, TextSet

REPOSITORY = Path(__file__).resolve().parents[2]
TOYS = Published("nobody/toys", "picture", "kind", (3, 4, 5), (7, 3), 2, "standardise-per-image")
RHYMES = PublishedText("nobody/verse", "rhymes-raw", "line", (5, 2))


def pictures(count: int, seed: int) -> np.ndarray:
    """Random RGB images, uint8 [N, 4, 5, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 5, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    """The image as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def write_parquet(file: Path, encoded: list[bytes], labels: list[int | None], columns: str = "picture kind") -> None:
    """Images and labels in the schema of the hub's image data sets."""
    image, label = columns.split()
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = {image: [{"bytes": content, "path": None} for content in encoded], label: labels}
    pq.write_table(pa.table(rows), file)


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root that mirrors a published set of ten small images, train in two files."""
    monkeypatch.setitem(sources.PUBLISHED, "toys", TOYS)
    folder = tmp_path / "root" / "toys"
    images = pictures(10, 0)
    for file, rows in (("train-0-of-2", range(4)), ("train-1-of-2", range(4, 7)), ("test-0-of-1", range(7, 10))):
        write_parquet(folder / f"{file}.parquet", [png(images[row]) for row in rows], [row % 2 for row in rows])
    return tmp_path / "root"


@pytest.fixture
def counted_saves(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The cache files that were written, in order."""
    written: list[Path] = []

    def save(dataset: tensors.DataSet, path: Path, source: str) -> None:
        written.append(path)
        tensors.save(dataset, path, source)

    monkeypatch.setattr(sources, "save", save)
    return written


def test_digits(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    dataset = tensors.load(sources.prepare("digits", tmp_path))
    bunch = load_digits()
    assert (dataset.name, dataset.classes, dataset.scaling, dataset.input_shape) == (
        "digits",
        10,
        "divide:16",
        (1, 8, 8),
    )
    assert (len(dataset.train_labels), len(dataset.test_labels)) == (1348, 449)
    rebuilt = np.zeros((1797, 8, 8))
    rebuilt[[index for index in range(1797) if index % 4 != 3]] = dataset.train_inputs[:, 0]
    rebuilt[[index for index in range(1797) if index % 4 == 3]] = dataset.test_inputs[:, 0]
    np.testing.assert_array_equal(rebuilt, bunch.images)
    assert dataset.test_labels.tolist() == bunch.target[3::4].tolist()
    assert dataset.prepare(dataset.test_inputs).max() == 1


def test_shapes_are_known_beforehand(toys: Path, tmp_path: Path) -> None:
    for name, data_root in (("digits", None), ("toys", toys)):
        dataset = tensors.load(sources.prepare(name, tmp_path, data_root))
        assert sources.known_shape(name) == (dataset.input_shape, dataset.classes)
    assert sources.known_shape("package.module:factory") is None


def test_a_mirror_is_read_in_order(toys: Path, tmp_path: Path) -> None:
    path = sources.prepare("toys", tmp_path / "cache", toys)
    assert path == tmp_path / "cache" / "toys.safetensors" == sources.cache_path("toys", tmp_path / "cache")
    dataset = tensors.load(path)
    expected = torch.from_numpy(pictures(10, 0)).permute(0, 3, 1, 2)
    assert torch.equal(torch.cat([dataset.train_inputs, dataset.test_inputs]), expected)
    assert torch.cat([dataset.train_labels, dataset.test_labels]).tolist() == [0, 1] * 5
    assert (dataset.name, dataset.classes, dataset.scaling) == ("toys", 2, "standardise-per-image")
    assert [file.name for file in path.parent.iterdir()] == ["toys.safetensors"]


def test_a_download_of_the_repository_is_a_mirror_too(toys: Path, tmp_path: Path) -> None:
    deeper = toys / "toys" / "plain_text"
    deeper.mkdir()
    for file in list((toys / "toys").glob("*.parquet")):
        file.rename(deeper / file.name)
    assert len(tensors.load(sources.prepare("toys", tmp_path, toys)).train_labels) == 7


def test_a_cache_is_made_once(toys: Path, tmp_path: Path, counted_saves: list[Path]) -> None:
    for _ in range(2):
        sources.prepare("toys", tmp_path, toys)
        sources.prepare("digits", tmp_path)
    assert [path.name for path in counted_saves] == ["toys.safetensors", "digits.safetensors"]


@pytest.mark.parametrize("change", ["content", "name"])
def test_a_changed_source_makes_it_anew(change: str, toys: Path, tmp_path: Path, counted_saves: list[Path]) -> None:
    path = sources.prepare("toys", tmp_path, toys)
    before = tensors.load(path).content_digest()
    file = toys / "toys" / "test-0-of-1.parquet"
    if change == "content":
        write_parquet(file, [png(image) for image in pictures(3, 9)], [1, 1, 1])
    else:
        file.rename(file.with_name("test.parquet"))
    sources.prepare("toys", tmp_path, toys)
    assert len(counted_saves) == 2
    assert (tensors.load(path).content_digest() != before) == (change == "content")


def test_a_truncated_cache_is_refused(toys: Path, tmp_path: Path) -> None:
    path = sources.prepare("toys", tmp_path, toys)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match=r"toys.safetensors cannot be used: .*\nDelete it and run again"):
        sources.prepare("toys", tmp_path, toys)
    path.unlink()
    assert len(tensors.load(sources.prepare("toys", tmp_path, toys)).test_labels) == 3


def truncate(folder: Path) -> None:
    file = folder / "train-1-of-2.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def not_parquet(folder: Path) -> None:
    (folder / "train-1-of-2.parquet").write_text("<html>not found</html>")


def empty(folder: Path) -> None:
    (folder / "train-1-of-2.parquet").write_bytes(b"")


def damage_a_page(folder: Path) -> None:
    file = folder / "train-1-of-2.parquet"
    content = bytearray(file.read_bytes())
    content[4:200] = bytes(196)
    file.write_bytes(content)


def damage_an_image(folder: Path) -> None:
    good = [png(image) for image in pictures(3, 0)]
    write_parquet(folder / "train-1-of-2.parquet", [good[0], good[1][:60], good[2]], [0, 0, 0])


def lose_an_image(folder: Path) -> None:
    table = {"picture": [{"bytes": None, "path": "somewhere.png"}] * 3, "kind": [0, 0, 0]}
    pq.write_table(pa.table(table), folder / "train-1-of-2.parquet")


def another_size(folder: Path) -> None:
    images = np.zeros((3, 4, 4, 3), np.uint8)
    write_parquet(folder / "train-1-of-2.parquet", [png(image) for image in images], [0, 0, 0])


def greyscale(folder: Path) -> None:
    images = np.zeros((3, 4, 5), np.uint8)
    write_parquet(folder / "train-1-of-2.parquet", [png(image) for image in images], [0, 0, 0])


def other_columns(folder: Path) -> None:
    write_parquet(folder / "train-1-of-2.parquet", [png(i) for i in pictures(3, 0)], [0, 0, 0], "image label")


def no_label(folder: Path) -> None:
    write_parquet(folder / "train-1-of-2.parquet", [png(i) for i in pictures(3, 0)], [0, None, 0])


def label_out_of_range(folder: Path) -> None:
    write_parquet(folder / "train-1-of-2.parquet", [png(i) for i in pictures(3, 0)], [0, 2, 0])


def lose_a_file(folder: Path) -> None:
    (folder / "train-1-of-2.parquet").unlink()


def lose_the_test_set(folder: Path) -> None:
    (folder / "test-0-of-1.parquet").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, r"train-1-of-2.parquet cannot be read as parquet files of images: .*\nFetch the file again"),
        (not_parquet, "train-1-of-2.parquet cannot be read"),
        (empty, "train-1-of-2.parquet cannot be read"),
        (damage_a_page, "train-1-of-2.parquet cannot be read"),
        (damage_an_image, r"train-1-of-2.parquet cannot be read .*: the image in row 1 is damaged"),
        (lose_an_image, r"train-1-of-2.parquet cannot be read .*: the image in row 0 is damaged"),
        (another_size, "train-1-of-2.parquet .*: the image in row 0 is RGB of 4x4, not RGB of 4x5"),
        (greyscale, "train-1-of-2.parquet .*: the image in row 0 is L of 4x5, not RGB of 4x5"),
        (other_columns, "train-1-of-2.parquet has no column 'picture'; it has image, label"),
        (no_label, "train-1-of-2.parquet cannot be read"),
        (label_out_of_range, r"data set 'toys': train_labels are in 0\.\.2, they must be in 0\.\.1"),
        (lose_a_file, r"toys: .*toys holds 4 train rows, not 7: train-0-of-2.parquet"),
        (lose_the_test_set, r"toys: there is no \*test\*.parquet in .*toys"),
    ],
)
def test_damaged_mirrors_are_named(damage: Callable[[Path], None], message: str, toys: Path, tmp_path: Path) -> None:
    damage(toys / "toys")
    with pytest.raises(DataError, match=message) as refusal:
        sources.prepare("toys", tmp_path / "cache", toys)
    assert len(str(refusal.value).splitlines()) <= 2
    cache = tmp_path / "cache"
    assert not cache.exists() or not list(cache.iterdir())


def test_a_cache_folder_that_cannot_be_made(toys: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot write into the data cache folder .*cache: Not a directory"):
        sources.prepare("toys", tmp_path / "file" / "cache", toys)


def test_unknown_names_list_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match=r"no data set 'mnsit'; valid: digits, mnist, cifar10, cifar10-jpeg, wikitext103, wikitext-mini, imagenet, "
        "imagenet-sample, or package",
    ):
        sources.prepare("mnsit", tmp_path)


def test_a_set_without_a_repository_needs_a_mirror(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar10-jpeg is read from a local mirror only: .*<data_root>/cifar10-jpeg/"):
        sources.prepare("cifar10-jpeg", tmp_path)
    with pytest.raises(DataError, match=f"into {tmp_path}/cifar10-jpeg/\nand set RIGL_BENCH_DATA_ROOT"):
        sources.prepare("cifar10-jpeg", tmp_path, tmp_path)


def test_a_data_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mnist: the data root .*nowhere is not a folder; see RIGL_BENCH_DATA_ROOT"):
        sources.prepare("mnist", tmp_path, tmp_path / "nowhere")


def prepare_elsewhere(program: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, because the hub's client reads its environment once, when imported."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    settings = {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=inherited | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_hub_that_cannot_be_reached(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from pipeline.data import sources
for data_root in (None, Path({str(tmp_path)!r})):
    try:
        sources.prepare("cifar10", Path({str(tmp_path / "cache")!r}), data_root)
    except sources.DataError as error:
        print(error)
"""
    done = prepare_elsewhere(program, {"HF_ENDPOINT": "http://127.0.0.1:9", "HOME": str(tmp_path / "home")})
    lines = done.stdout.splitlines()
    assert len(lines) == 4, done.stderr
    assert lines[0].startswith("cifar10 could not be fetched from Hugging Face's hub (")
    fetch = "hf download uoft-cs/cifar10 --repo-type dataset --local-dir"
    assert lines[1] == f"{fetch} <data_root>/cifar10 and set RIGL_BENCH_DATA_ROOT=<data_root>"
    assert lines[3] == f"{fetch} {tmp_path}/cifar10 and set RIGL_BENCH_DATA_ROOT={tmp_path}"
    assert not list((tmp_path / "cache").iterdir())
    assert not (tmp_path / "home").exists()


FAKE_HUB = """
import hashlib, http.server, json, os, threading
from dataclasses import replace
from pathlib import Path

mirror, cache, commit = Path(sys.argv[1]), Path(sys.argv[2]), "0123456789" * 4
files = {f"plain_text/{file.name}": file.read_bytes() for file in mirror.glob("*.parquet")} | {"README.md": b"toys"}

def published(name, content):
    digest = hashlib.sha256(content).hexdigest()
    return {"rfilename": name, "size": len(content), "lfs": {"sha256": digest, "size": len(content), "pointerSize": 1}}

class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self, body=True):
        path = self.path.partition("?")[0]
        name = path.removeprefix(f"/datasets/nobody/toys/resolve/{commit}/")
        if path.startswith("/api/datasets/nobody/toys/revision/"):
            content = {"id": "nobody/toys", "sha": commit, "siblings": [published(n, c) for n, c in files.items()]}
            self.answer(json.dumps(content).encode(), {"Content-Type": "application/json"}, body)
        elif path.startswith("/api/datasets/nobody/toys/tree/"):
            content = [{"type": "file", "path": n, "size": len(c), "oid": "0" * 40} for n, c in files.items()]
            self.answer(json.dumps(content).encode(), {"Content-Type": "application/json"}, body)
        elif name in files:
            etag = hashlib.sha256(files[name]).hexdigest()
            self.answer(files[name], {"ETag": f'"{etag}"', "X-Repo-Commit": commit}, body)
        else:
            self.send_error(404)

    def do_HEAD(self):
        self.do_GET(body=False)

    def answer(self, content, headers, body):
        self.send_response(200)
        for key, value in {**headers, "Content-Length": len(content)}.items():
            self.send_header(key, str(value))
        self.end_headers()
        if body:
            self.wfile.write(content)
            served.append(self.path)

    def log_message(self, *_):
        pass

served = []
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()

import os
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
from pipeline.data import sources, tensors
sources.PUBLISHED["toys"] = sources.Published("nobody/toys", "picture", "kind", (3, 4, 5), (7, 3), 2, "divide:255")
path = sources.prepare("toys", cache)
fetched = [name for name in served if "/resolve/" in name]
server.shutdown()
server.server_close()
assert sources.prepare("toys", cache) == path
digest, source = tensors.load(path).content_digest(), tensors.source_of(path)
print(json.dumps({"fetched": len(fetched), "digest": digest, "source": source}))
"""


def test_the_hubs_files_are_fetched_once_and_read_like_a_mirrors(toys: Path, tmp_path: Path) -> None:
    """A local server answers as the hub does; it is gone when the cache is asked for again."""
    program = FAKE_HUB.replace("sys.argv[1]", repr(str(toys / "toys"))).replace(
        "sys.argv[2]", repr(str(tmp_path / "c"))
    )
    done = prepare_elsewhere(program, {"HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"})
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["source"] == "hub:nobody/toys@main"
    assert outcome["fetched"] == 3
    mirrored = tensors.load(sources.prepare("toys", tmp_path / "d", toys))
    assert outcome["digest"] == replace(mirrored, scaling="divide:255").content_digest()
    assert [file.name for file in (tmp_path / "c").iterdir()] == ["toys.safetensors"]


OWN_DATA = """
import torch
from pipeline.data.tensors import DataSet, TextSet

level = 7

def fields(**changes):
    images, labels = torch.full((4, 1, 2, 2), level, dtype=torch.uint8), torch.tensor([0, 1, 2, 1])
    return dict(classes=3, train_inputs=images, train_labels=labels, test_inputs=images[:2], test_labels=labels[:2],
                scaling="divide:16") | changes

def dictionary():
    return fields()

def data_set():
    return DataSet(name="mine", **fields())

def verse():
    return TextSet("verse", torch.arange(9).byte(), torch.arange(3).byte())

def float_images():
    return fields(train_inputs=torch.zeros(4, 1, 2, 2))

def misspelt():
    made = fields(labels=torch.zeros(4))
    del made["train_labels"]
    return made

def nothing():
    return None
"""


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An importable module of the user's, with data sets in it."""
    (tmp_path / "own_data_of_a_user.py").write_text(OWN_DATA)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_data_of_a_user"
    sys.modules.pop("own_data_of_a_user", None)


def test_the_users_own_data(own_data: str, tmp_path: Path, counted_saves: list[Path]) -> None:
    path = sources.prepare(f"{own_data}:dictionary", tmp_path / "cache")
    assert path.name == "own_data_of_a_user.dictionary.safetensors"
    dataset = tensors.load(path)
    assert dataset.name == f"{own_data}:dictionary"
    assert dataset.train_inputs.unique().tolist() == [7]
    assert tensors.load(sources.prepare(f"{own_data}:data_set", tmp_path / "cache")).name == "mine"
    sources.prepare(f"{own_data}:dictionary", tmp_path / "cache")
    assert len(counted_saves) == 2
    sys.modules[own_data].level = 8
    assert tensors.load(
        sources.prepare(f"{own_data}:dictionary", tmp_path / "cache")
    ).train_inputs.unique().tolist() == [8]
    assert len(counted_saves) == 3


def test_the_users_own_text(own_data: str, tmp_path: Path) -> None:
    dataset = tensors.load(sources.prepare(f"{own_data}:verse", tmp_path))
    assert (dataset.name, dataset.train_text.tolist(), dataset.test_text.tolist()) == ("verse", [*range(9)], [0, 1, 2])


@pytest.mark.parametrize(
    ("factory", "error", "message"),
    [
        ("float_images", DataError, "own_data_of_a_user:float_images': train_inputs has dtype torch.float32"),
        ("misspelt", DataError, "unknown 'labels', missing 'train_labels'; the fields are name, classes, train_inputs"),
        ("nothing", DataError, "the factory returned NoneType, not a DataSet, a dictionary or a TextSet"),
        ("absent", ValueError, "module 'own_data_of_a_user' has no 'absent'; its callables: .*dictionary"),
    ],
)
def test_the_users_mistakes_are_named(
    own_data: str, factory: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        sources.prepare(f"{own_data}:{factory}", tmp_path)


def test_cache_names_are_fit_for_a_file_system() -> None:
    assert sources.cache_path("cifar10-jpeg", Path("c")) == Path("c/cifar10-jpeg.safetensors")
    assert sources.cache_path("../a b.c:d/e", Path("c")) == Path("c/...a.b.c.d.e.safetensors")


def idx(values: torch.Tensor) -> bytes:
    """The bytes of an IDX file, MNIST's own format."""
    header = struct.pack(f">HBB{values.dim()}I", 0, 8, values.dim(), *values.shape)
    return header + values.to(torch.uint8).numpy().tobytes()


def test_mnist_is_the_original(data_root: Path, tmp_path: Path) -> None:
    """MD5 of the original IDX files, rebuilt from the mirror."""
    dataset = tensors.load(sources.prepare("mnist", tmp_path, data_root))
    parts = (dataset.train_inputs[:, 0], dataset.train_labels, dataset.test_inputs[:, 0], dataset.test_labels)
    assert [hashlib.md5(idx(part)).hexdigest() for part in parts] == [
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ]
    assert (dataset.classes, dataset.scaling, dataset.input_shape) == (10, "divide:255", (1, 28, 28))
    # In the committed records.
    assert dataset.content_digest() == "b2fd61be6865ae5676d5bcf057fc34e0a3fab068f551bca7b829d95c29ad13ee"


# -- text -----------------------------------------------------------------------------------------------------------------

LINES = [" = Rose = \n", "", "«Röschen rot»\n", " \n", "no newline"]


def write_lines(file: Path, lines: list[object], column: str = "line") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({column: lines}), file)


@pytest.fixture
def rhymes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root that mirrors a published text of seven lines, train in two files."""
    monkeypatch.setitem(sources.PUBLISHED, "rhymes", RHYMES)
    folder = tmp_path / "root" / "rhymes"
    for name, lines in (("train-0", LINES[:2]), ("train-1", LINES[2:]), ("validation-0", ["so ", "late"])):
        write_lines(folder / f"{name}.parquet", lines)
    write_lines(folder / "test-0.parquet", ["is not read"])
    return tmp_path / "root"


def test_a_text_is_its_lines_as_they_are(rhymes: Path, tmp_path: Path) -> None:
    dataset = tensors.load(sources.prepare("rhymes", tmp_path / "cache", rhymes))
    assert isinstance(dataset, TextSet)
    assert bytes(dataset.train_text.numpy()) == "".join(LINES).encode()
    assert bytes(dataset.test_text.numpy()) == b"so late"
    assert sources.known_shape("rhymes") == (dataset.input_shape, dataset.classes) == ((512,), 256)


def test_a_whole_repository_is_a_mirror_of_each_text_in_it(rhymes: Path, tmp_path: Path) -> None:
    """As `hf download` leaves it: a folder for each configuration, all with the same file names."""
    folder = rhymes / "rhymes"
    own = folder / "rhymes-raw"
    own.mkdir()
    for file in list(folder.glob("*.parquet")):
        file.rename(own / file.name)
    write_lines(folder / "rhymes-tokenised" / "train-0.parquet", ["another text"])
    dataset = tensors.load(sources.prepare("rhymes", tmp_path / "cache", rhymes))
    assert bytes(dataset.train_text.numpy()) == "".join(LINES).encode()


@pytest.mark.parametrize(
    ("lines", "column", "message"),
    [
        (LINES[2:], "text", "train-1.parquet has no column 'line'; it has text"),
        (["a", None, "c"], "line", "train-1.parquet cannot be read .* of text: row 1 is NoneType, not text"),
        ([1, 2, 3], "line", "train-1.parquet cannot be read .* of text: row 0 is int, not text"),
        ([], "line", "train-1.parquet cannot be read .* of text: "),
        (LINES[2:4], "line", "rhymes: .*rhymes holds 4 train rows, not 5: train-0.parquet, train-1.parquet"),
    ],
)
def test_damaged_texts_are_named(lines: list[object], column: str, message: str, rhymes: Path, tmp_path: Path) -> None:
    write_lines(rhymes / "rhymes" / "train-1.parquet", lines, column)
    with pytest.raises(DataError, match=message) as refusal:
        sources.prepare("rhymes", tmp_path / "cache", rhymes)
    assert len(str(refusal.value).splitlines()) <= 2


def test_a_text_without_a_mirror_says_what_to_fetch(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"wikitext-mini is read .*: put its \*train\*.parquet and \*validation\*.parquet"
    ):
        sources.prepare("wikitext-mini", tmp_path)
    program = f"""
from pathlib import Path
from pipeline.data import sources
try:
    sources.prepare("wikitext103", Path({str(tmp_path / "cache")!r}))
except sources.DataError as error:
    print(error)
"""
    done = prepare_elsewhere(program, {"HF_ENDPOINT": "http://127.0.0.1:9", "HOME": str(tmp_path / "home")})
    assert done.stdout.splitlines()[1] == (
        "hf download Salesforce/wikitext --repo-type dataset --include 'wikitext-103-raw-v1/*' "
        "--local-dir <data_root>/wikitext103 and set RIGL_BENCH_DATA_ROOT=<data_root>"
    )


def test_wikitext_mini_is_what_its_files_hold(data_root: Path, tmp_path: Path) -> None:
    """Against pyarrow; the train text is WikiText's validation split, the number of whose lines it has."""
    dataset = tensors.load(sources.prepare("wikitext-mini", tmp_path, data_root))
    for split, found in (("train", dataset.train_text), ("validation", dataset.test_text)):
        (file,) = (data_root / "wikitext-mini").glob(f"{split}-*.parquet")
        assert bytes(found.numpy()) == "".join(pq.read_table(file)["text"].to_pylist()).encode()
    assert (len(dataset.train_text), len(dataset.test_text)) == (1_121_681, 629_739)
    assert bytes(dataset.train_text[:24].numpy()) == b" \n = Homarus gammarus = \n"[:24]
