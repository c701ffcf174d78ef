"""Pictures in tar archives are those in folders, and JPEG files that are decoded smaller show the same part."""

import gzip
import io
import re
import shutil
import subprocess
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gsnet.data import DataSettings, data_set, training_loader, validation_loader
from gsnet.data.class_folder import training_classes
from gsnet.data.pictures import decode, decoded, decoded_later, read_picture
from gsnet.data.shard_index import index_of
from gsnet.data.skipping import BrokenImages
from gsnet.interface.options import InputError
from gsnet.training.image_check import check_images, pictures_of
from gsnet.validation.class_names import class_names
from gsnet.validation.measure import check_whose_classes

CLASSES = ("cat", "dog")
SIZE = (96, 64)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def smooth(seed, size=SIZE):
    """A picture without sharp edges, as photographs are at the scale of a pixel."""
    few = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(few).resize(size, Image.Resampling.BICUBIC)


def settings(folder, **more):
    return DataSettings("image_folder", folder, batch_size=4, workers=0, input_image_size=32, seed=3, **more)


@pytest.fixture
def tree(tmp_path):
    for split, count in (("train", 8), ("val", 3)):
        for label, name in enumerate(CLASSES):
            folder = tmp_path / "tree" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                smooth(100 * label + i).save(folder / f"{i}.jpg", quality=95)
    return tmp_path / "tree"


def packed(tree, folder, tell):
    """The same pictures in archives of at most five: by tell as KEY.cls beside each, else in folders of their classes."""
    for split in ("train", "val"):
        (folder / split).mkdir(parents=True)
        files = sorted((tree / split).rglob("*.jpg"))
        for first in range(0, len(files), 5):
            with tarfile.open(folder / split / f"{first:03d}.tar", "w") as archive:
                for place, file in enumerate(files[first : first + 5]):
                    key = f"{first + place:06d}" if tell else f"{file.parent.name}/{file.stem}"
                    add(archive, f"{key}.jpg", file.read_bytes())
                    if tell:
                        add(archive, f"{key}.cls", b"%d\n" % CLASSES.index(file.parent.name))
                        add(archive, f"{key}.json", b"{}")
    return folder


def add(archive, name, content):
    """content: bytes, or as text the name of another member, which this one is a hard link to."""
    member = tarfile.TarInfo(name)
    if isinstance(content, str):
        member.type, member.linkname, content = tarfile.LNKTYPE, content, b""
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def batches(loader, epoch, skip=0):
    loader.sampler.set_epoch(epoch, skip)
    return [(images.clone(), labels.clone()) for images, labels in loader]


def equal(first, second):
    return len(first) == len(second) and all(
        torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("tell", [False, True])
def test_archives_give_the_batches_of_folders_and_go_on_after_a_kill(tree, tmp_path, tell):
    archives = packed(tree, tmp_path / "packed", tell)
    plain, ours = training_loader(settings(tree)), training_loader(replace(settings(archives), workers=2))
    whole = batches(plain, epoch=1)
    assert equal(whole, batches(ours, epoch=1)) and equal(whole[2:], batches(ours, epoch=1, skip=2))
    assert equal(list(validation_loader(settings(tree))), list(validation_loader(settings(archives))))
    names = ["0", "1"] if tell else list(CLASSES)
    assert training_classes(archives) == names == data_set(settings(archives), train=False).classes
    assert data_set(settings(archives), train=True).targets == [0] * 8 + [1] * 8
    (archives / "classes.txt").write_text("Felis\nCanis\n")
    assert training_classes(archives) == (["Felis", "Canis"] if tell else names)


def test_validation_counts_as_a_network_does(tree, tmp_path):
    archives = packed(tree, tmp_path / "packed", tell=False)
    for known in ((), ("bird", "cat", "dog")):
        labels = data_set(settings(archives), train=False, known=known).targets
        assert sorted(set(labels)) == ([1, 2] if known else [0, 1])
    for file in (archives / "train").iterdir():
        file.unlink()
    (archives / "train").rmdir()
    with pytest.raises(InputError, match="2 class folders, the network 3"):
        check_whose_classes(data_set(settings(archives), train=False), 3)


def test_an_archive_is_looked_through_once(tree, tmp_path, monkeypatch):
    archives = packed(tree, tmp_path / "packed", tell=True)
    shard = archives / "val/000.tar"
    first = index_of(shard)
    with monkeypatch.context() as context:
        context.setattr(tarfile, "open", lambda *_: pytest.fail("looked through again"))
        again = index_of(shard)
    for name in ("first", "size", "labels"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    with tarfile.open(shard, "a") as archive:
        add(archive, "new.jpg", b"")
        add(archive, "new.cls", b"1")
    assert len(index_of(shard)) == len(first) + 1
    for kept in (tmp_path / "cache").rglob("*.npz"):
        kept.write_bytes(kept.read_bytes()[:100])
    assert len(index_of(shard)) == len(first) + 1


MEMBERS = {
    "no pictures": {"a.txt": b""},
    "is of no class": {"a.jpg": b""},
    "b.jpg has no b.cls": {"a.jpg": b"", "a.cls": b"0", "b.jpg": b""},
    "a number|the number of a class": {"a.jpg": b"", "a.cls": b"cat"},
}


@pytest.mark.parametrize("message", MEMBERS)
def test_archives_that_say_no_classes_are_refused(tmp_path, message):
    (tmp_path / "train").mkdir()
    with tarfile.open(tmp_path / "train/0.tar", "w") as archive:
        for name, content in MEMBERS[message].items():
            add(archive, name, content)
    with pytest.raises(InputError, match=message):
        data_set(settings(tmp_path), train=True)


REFUSED = [
    ("cat/1.jpg twice", [("cat/1.jpg", b"a"), ("./cat/1.jpg", b"b")]),
    ("1.jpg and 1.seg.png, which are one sample", [("1.jpg", b""), ("1.cls", b"0"), ("1.seg.png", b"")]),
    ("has 1.cls twice", [("1.jpg", b""), ("1.cls", b"0"), ("1.cls", b"1")]),
    (
        "clip_0.5s.cls and clip_0.7s.cls, which are of one sample, clip_0: a KEY ends at the first dot",
        [("clip_0.5s.jpg", b""), ("clip_0.5s.cls", b"0"), ("clip_0.7s.jpg", b""), ("clip_0.7s.cls", b"1")],
    ),
    ("do not both lie in CLASS/IMAGE", [("dog/front/1.jpg", b""), ("cat/front/1.jpg", b"")]),
    ("do not both lie in CLASS/IMAGE", [("cat/1.jpg", b""), ("cat/small/2.jpg", b"")]),
    ("holds '99999999999999999999': the number of a class", [("1.jpg", b""), ("1.cls", b"9" * 20)]),
    ("cat/2.jpg is a link to cat/1.jpg", [("cat/1.jpg", b""), ("cat/2.jpg", "cat/1.jpg")]),
]


@pytest.mark.parametrize(("message", "members"), REFUSED)
def test_what_would_be_missing_or_counted_wrongly_is_refused(tmp_path, message, members):
    """As tar unpacks them: of two members of one name the later one stays, and a link is a picture, too."""
    (tmp_path / "train").mkdir()
    with tarfile.open(tmp_path / "train/0.tar", "w") as archive:
        for name, content in members:
            add(archive, name, content)
    with pytest.raises(InputError, match=re.escape(message)):
        data_set(settings(tmp_path), train=True)


def test_archives_that_were_cut_or_put_behind_one_another_are_refused(tmp_path):
    shard = tmp_path / "train/0.tar"
    shard.parent.mkdir()
    with tarfile.open(shard, "w") as archive:
        for place in range(8):
            add(archive, f"cat/{place}.jpg", bytes(500))
    whole = shard.read_bytes()
    assert len(index_of(shard)) == 8
    # Each picture is a header and a block of 512 bytes. A reader of archives stops where no header is, without a word.
    for content in (whole[:4096], whole[:4396], whole[:4096] + b"?" * 512 + whole[4608:]):
        shard.write_bytes(content)
        with pytest.raises(InputError, match=r"0\.tar has no end: it was cut or damaged at byte 4,096"):
            index_of(shard)
    shard.write_bytes(whole[:4796])
    with pytest.raises(InputError, match=r"has no end: it was cut or damaged \(unexpected end of data\)"):
        index_of(shard)
    shard.write_bytes(whole + whole)
    with pytest.raises(InputError, match=r"more behind its end"):
        index_of(shard)


def test_capitals_and_what_macos_leaves_beside_files_are_nothing_special(tmp_path):
    (tmp_path / "train").mkdir()
    with tarfile.open(tmp_path / "train/0.TAR", "w") as archive:
        add(archive, "1.JPG", jpeg(smooth(1)))
        add(archive, "1.CLS", b"1")
    (tmp_path / "train/._0.TAR").write_bytes(b"Mac OS X")
    assert data_set(settings(tmp_path), train=True).targets == [1]


def test_numbers_count_as_their_names_do_in_a_network(tree, tmp_path):
    """Number 0 is of cats, as `packed` has it."""
    archives = packed(tree, tmp_path / "packed", tell=True)

    def labels(*known):
        return data_set(settings(archives), train=False, known=known).targets

    assert labels("dog", "cat") == [0] * 3 + [1] * 3, "without classes.txt numbers are the network's"
    (archives / "classes.txt").write_text("cat\ndog\n")
    assert labels("cat", "dog") == labels("0", "1") == [0] * 3 + [1] * 3
    assert labels("dog", "bird", "cat") == [2] * 3 + [0] * 3
    with pytest.raises(InputError, match="has the class cat, which is none"):
        labels("dog", "bird")
    (archives / "classes.txt").write_text("\ufeffcat\r\ndog\r\n\r\n", encoding="utf-8")
    assert training_classes(archives) == class_names(2, archives) == ["cat", "dog"]
    for content, message in ((b"cat\n\ndog\n", "no name in line 2"), (b"caf\xe9\n", "not written in UTF-8")):
        (archives / "classes.txt").write_bytes(content)
        with pytest.raises(InputError, match=message):
            training_classes(archives)


def test_classes_of_archives_have_their_names_in_reports(tree, tmp_path):
    assert class_names(2, packed(tree, tmp_path / "packed", tell=False), "image_folder") == ["cat", "dog"]


def test_what_is_no_archive_and_what_is_mixed_is_refused(tree, tmp_path):
    archives = packed(tree, tmp_path / "packed", tell=True)
    (archives / "train/cat").mkdir()
    with pytest.raises(InputError, match="tar archives and folders"):
        data_set(settings(archives), train=True)
    (archives / "train/cat").rmdir()
    (archives / "classes.txt").write_text("one\n")
    with pytest.raises(InputError, match=r"classes\.txt names 1 classes, and a picture is of class 1"):
        data_set(settings(archives), train=True)
    (archives / "classes.txt").unlink()
    with tarfile.open(archives / "val/more.tar", "w") as archive:
        add(archive, "z.jpg", b"")
        add(archive, "z.cls", b"7")
    with pytest.raises(InputError, match="class 7: there are 2"):
        data_set(settings(archives), train=False)
    with tarfile.open(archives / "train/more.tar", "w:gz") as archive:
        add(archive, "z.jpg", b"")
    with pytest.raises(InputError, match=r"more\.tar is no tar archive that can be read .*compressed"):
        data_set(settings(archives), train=True)


@pytest.mark.parametrize(("ending", "command"), [("tar.gz", "gunzip"), ("tgz", "gunzip"), ("tar.XZ", "unxz")])
def test_compressed_archives_are_refused_with_what_makes_them_plain(tree, tmp_path, ending, command, caplog):
    alone = tmp_path / "alone"
    for split in ("train", "val"):
        (alone / split).mkdir(parents=True)
        (alone / split / f"all of them.{ending}").touch()
    said = rf"all of them\.{ending} is compressed, .* plain \.tar of it by {command} '.*/all of them\.{ending}'$"
    for ask in (lambda: data_set(settings(alone), train=True), lambda: training_classes(alone)):
        with pytest.raises(InputError, match=said):
            ask()
    with pytest.raises(InputError, match=rf"val/{said}"):
        data_set(settings(alone), train=False)
    # Beside others its pictures would be missing without a word; beside folders of classes it is where these came from.
    archives = packed(tree, tmp_path / "packed", tell=False)
    for folder in (archives, tree):
        (folder / f"train/all of them.{ending}").touch()
    with pytest.raises(InputError, match=said):
        data_set(settings(archives), train=True)
    assert len(data_set(settings(tree), train=True)) == 16
    assert f"train: files that are not read: all of them.{ending} (" in caplog.text


@pytest.mark.parametrize("tell", [True, False])
def test_members_that_are_not_read_are_counted_by_suffix(tree, tmp_path, caplog, tell):
    """What belongs to a picture's sample aside; also where what an archive holds is remembered."""
    archives = packed(tree, tmp_path / "packed", tell)
    whole = data_set(settings(archives), train=True)
    assert caplog.text == ""
    with tarfile.open(archives / "train/900.tar", "w") as archive:
        hidden = ("dog/._z.jpg", "cat/.ipynb_checkpoints/new-checkpoint.jpg", "Thumbs.db")
        for name in ("cat/new.jpg", "cat/new.txt", "cat/x.HEIC", "cat/y.heic", "dog/z.gif", *hidden):
            key = name if not tell else name.replace("cat/", "").replace("dog/", "")
            content = next(tree.rglob("*.jpg")).read_bytes()
            add(archive, key, content)
        if tell:
            add(archive, "new.cls", b"0")
    for _ in range(2):
        caplog.clear()
        assert len(data_set(settings(archives), train=True)) == len(whole) + 1
        assert "train: passed over in archives: 3 files (.heic 2, .gif 1); jpg, " in caplog.text
    with tarfile.open(archives / "train/901.tar", "w") as archive:
        add(archive, "cat/only.heic", b"")
    with pytest.raises(InputError, match=r"has no pictures in it, but 1 file \(\.heic 1\)"):
        data_set(settings(archives), train=True)


@pytest.mark.skipif(not shutil.which("gunzip"), reason="needs gunzip")
def test_what_is_advised_makes_a_plain_archive(tree, tmp_path):
    archives = packed(tree, tmp_path / "packed", tell=False)
    plain = min((archives / "val").glob("*.tar"))
    zipped = plain.with_suffix(".tgz")
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    with pytest.raises(InputError) as refused:
        data_set(settings(archives), train=False)
    subprocess.run(str(refused.value).rpartition(" by ")[2], shell=True, check=True)
    assert plain.is_file() and len(data_set(settings(archives), train=False)) == 6


@pytest.mark.parametrize("kept", [200, -100])
def test_a_broken_picture_of_an_archive_is_named_and_gone_past(tree, tmp_path, kept):
    """Also where its header is whole, so that a decoder that waits finds out late."""
    file = tree / "train/dog/3.jpg"
    file.write_bytes(file.read_bytes()[:kept])
    archives = packed(tree, tmp_path / "packed", tell=False)
    for more in ({}, {"reduced_decoding": True}):
        loader = training_loader(settings(archives, **more), run := BrokenImages())
        for look in (lambda: batches(loader, epoch=0), lambda: check_images(run, pictures_of(loader), 1)):  # noqa: B023
            with pytest.raises(InputError, match=r"dog/3\.jpg in .*010\.tar is no picture"):
                look()
        run = BrokenImages(allowed=1)
        loader = training_loader(settings(archives, **more), run)
        check_images(run, pictures_of(loader), 1)
        assert run.count == 1 and len(batches(loader, epoch=0)) == 4


@pytest.mark.parametrize("reduced", [False, True])
def test_an_image_does_not_depend_on_when_another_is_found_to_be_broken(tree, reduced):
    """As before a kill that image is known to be, and after it is not yet."""
    file = tree / "train/cat/2.jpg"
    file.write_bytes(file.read_bytes()[:-100])
    found = []
    for known in (True, False):
        run = BrokenImages(allowed=1)
        loader = training_loader(settings(tree, reduced_decoding=reduced), run)
        run.splits[0].found[2] = known
        found.append(loader.dataset[(5, 2)][0])
        assert run.count == 1
    assert torch.equal(*found)


def jpeg(picture, **how):
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=95, **how)
    return content.getvalue()


@pytest.mark.parametrize(("enough", "pixels"), [(1.0, 1), (1.9, 1), (2.0, 2), (5.0, 4), (8.0, 8), (30.0, 8)])
def test_a_jpeg_file_is_decoded_no_smaller_than_is_enough(tmp_path, enough, pixels):
    content = jpeg(smooth(1, (199, 130)))
    picture = decoded_later(content, tmp_path)
    assert decode(picture, enough) == pixels
    # Every started block of pixels is one.
    assert picture.size == (-(-199 // pixels), -(-130 // pixels))
    assert decode(picture, 100) == 1


def test_other_pictures_are_decoded_at_once(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6
    for content in (jpeg(smooth(1), exif=turned), jpeg(smooth(1).convert("L")), jpeg(smooth(1).convert("CMYK"))):
        later = decoded_later(content, tmp_path)
        assert decode(later, 8) == 1
        assert np.array_equal(np.asarray(later), np.asarray(decoded(content, tmp_path)))
    with pytest.raises(InputError, match="is no picture that can be read"):
        decoded_later(b"none", tmp_path / "a.jpg")


def test_parts_of_pictures_that_are_decoded_smaller_are_the_same_parts(tmp_path):
    """Against whole decoding: of large parts nearly the same pixels, of others the same."""
    for name in CLASSES:
        (tmp_path / "train" / name).mkdir(parents=True)
        for i in range(4):
            size = (640, 480) if name == "dog" else (40, 36)
            smooth(i, size).save(tmp_path / "train" / name / f"{i}.jpg", quality=95)
    plain = settings(tmp_path, color_jitter=(0, 0, 0), lighting=0.0)
    whole, reduced = (data_set(s, train=True) for s in (plain, replace(plain, reduced_decoding=True)))
    for place in range(8):
        for seed in range(4):
            found = []
            for images in (whole, reduced):
                torch.manual_seed(seed)
                found.append(images[place][0])
            difference = float((found[0] - found[1]).abs().mean())
            # In standard deviations of the channel, of which a grey level is a sixtieth; smooth pictures differ by rounding.
            assert difference == 0 if place < 4 else difference < 0.02
    assert read_picture(tmp_path / "train/dog/0.jpg").size == (640, 480)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "cifar10"}, "does not read"),
        ({"dataset": "fake"}, "does not read"),
        ({"cache": "ram"}, "contradicts --cache ram"),
        ({"augment": False}, "no_data_augment"),
    ],
)
def test_reduced_decoding_is_refused_where_it_would_do_nothing(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        replace(settings(tmp_path, reduced_decoding=True), **change)
