"""Pictures of every kind, and what Pillow 13.0.0 decodes them to: pictures.safetensors (the files) and pictures.json.

    pip install -r requirements.txt; apt-get install libjpeg-turbo-progs (cjpeg 2.1.5, for what Pillow cannot write)
    python pictures.py

pictures.json has a row a file: kind, name, width and height, half the SHA-256 of the RGB values, and the values themselves (hex) where
there are at most 12 pixels; or the class of the error where Pillow refuses the file.
"""

import hashlib
import io
import json
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image
from safetensors.numpy import save_file

HERE = Path(__file__).parent
QUALITIES = (20, 30, 50, 75, 85, 95)
SIZES = ((1, 40), (2, 3), (3, 17), (4, 4), (7, 9), (17, 33), (31, 1), (34, 21), (39, 5))
FEW = ((1, 1), (9, 20), (40, 23))


def noise(width: int, height: int, seed: int, channels: int = 3) -> np.ndarray:
    """Blocks of one colour under noise: edges and textures."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, channels)).astype(np.uint8)
    values = np.kron(blocks, np.ones((4, 4, 1), np.uint8))[:height, :width].astype(int)
    return (values + rng.integers(-30, 31, values.shape)).clip(0, 255).astype(np.uint8)


def drawn(width: int, height: int, seed: int, mode: str = "RGB") -> Image.Image:
    if mode == "RGB":
        return Image.fromarray(noise(width, height, seed))
    if mode == "L":
        return Image.fromarray(noise(width, height, seed, 1)[:, :, 0])
    if mode == "LA":
        return Image.fromarray(noise(width, height, seed, 2))
    if mode == "CMYK":
        return Image.fromarray(noise(width, height, seed, 4), "CMYK")
    if mode == "I;16":
        return Image.fromarray(noise(width, height, seed, 1)[:, :, 0].astype(np.uint16) * 3)
    if mode == "I":
        return Image.fromarray(noise(width, height, seed, 1)[:, :, 0].astype(np.int32) * 3 - 200)
    if mode == "F":
        return Image.fromarray(noise(width, height, seed, 1)[:, :, 0].astype(np.float32) * 1.7 - 50)
    return drawn(width, height, seed).convert(mode)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def cjpeg(image: Image.Image, *flags: str) -> bytes:
    return subprocess.run(["cjpeg", *flags], input=encoded(image, "PPM"), capture_output=True, check=True).stdout


def png(width: int, height: int, depth: int, colour: int, rows: np.ndarray, palette: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    plte = chunk(b"PLTE", palette) if palette else b""
    return b"\x89PNG\r\n\x1a\n" + header + plte + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bmp(width: int, height: int, bits: int, compression: int, extra: bytes, rows: bytes, colours: int = 0) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, colours, 0) + extra
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rows), 0, 0, 14 + len(header)) + header + rows


def jpegs():
    seed = 0
    for subsampling, kind in enumerate(("jpeg 4:4:4", "jpeg 4:2:2", "jpeg 4:2:0")):
        for width, height in SIZES:
            seed += 1
            quality = QUALITIES[seed % 6]
            progressive = seed % 3 == 0
            name = f"{width}x{height} q{quality}{' progressive' if progressive else ''}"
            options = {"quality": quality, "subsampling": subsampling, "progressive": progressive}
            yield kind, name, encoded(drawn(width, height, seed), "JPEG", **options)
    for sampling, kind in (("1x2", "jpeg 4:4:0"), ("4x1", "jpeg 4:1:1"), ("1x1,2x2,1x1", "jpeg odd sampling"), ("2x4", "jpeg odd sampling")):
        for width, height in ((1, 9), (5, 5), (13, 40), (33, 18)):
            seed += 1
            flags = ("-quality", str(QUALITIES[seed % 6]), "-sample", sampling, *(("-progressive",) if seed % 2 else ()))
            yield kind, f"{width}x{height} {sampling}", cjpeg(drawn(width, height, seed), *flags)
    for width, height in ((1, 9), (5, 5), (13, 40), (33, 18), (40, 40)):
        seed += 1
        picture, quality = drawn(width, height, seed), str(QUALITIES[seed % 6])
        size = f"{width}x{height}"
        yield "jpeg arithmetic", size, cjpeg(picture, "-quality", quality, "-arithmetic")
        yield "jpeg arithmetic", f"{size} progressive", cjpeg(picture, "-quality", quality, "-arithmetic", "-progressive")
    for width, height in FEW:
        seed += 1
        size, options = f"{width}x{height}", {"quality": QUALITIES[seed % 6]}
        yield "jpeg restart markers", size, encoded(drawn(width, height, seed), "JPEG", restart_marker_blocks=1, **options)
        yield "jpeg grey", size, encoded(drawn(width, height, seed, "L"), "JPEG", **options)
        cmyk = encoded(drawn(width, height, seed, "CMYK"), "JPEG", **options)
        yield "jpeg cmyk", size, cmyk
        adobe = cmyk.find(b"Adobe\0") + 11
        yield "jpeg ycck", size, cmyk[:adobe] + b"\2" + cmyk[adobe + 1 :]
        yield "jpeg rgb", size, encoded(drawn(width, height, seed), "JPEG", keep_rgb=True, **options)
        several = {"save_all": True, "append_images": [drawn(width, height, seed + 1)]}
        yield "jpeg mpo", size, encoded(drawn(width, height, seed), "MPO", **several)


def pngs():
    for seed, (width, height) in enumerate(FEW, 100):
        size, rng = f"{width}x{height}", np.random.default_rng(seed)
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
            yield "png 8 bits", f"{size} {mode}", encoded(drawn(width, height, seed, mode), "PNG")
        for colour, channels in ((0, 1), (2, 3), (4, 2), (6, 4)):
            rows = rng.integers(0, 65536, (height, width * channels)).astype(">u2")
            yield "png 16 bits", f"{size} type {colour}", png(width, height, 16, colour, rows)
        yield "png 16 bits", f"{size} dark grey", encoded(drawn(width, height, seed, "I;16"), "PNG")
        for depth in (1, 2, 4):
            rows = rng.integers(0, 256, (height, (width * depth + 7) // 8)).astype("u1")
            yield "png few bits", f"{size} grey {depth}", png(width, height, depth, 0, rows)
            palette = rng.integers(0, 256, 3 * (2**depth - 1)).astype("u1").tobytes()
            yield "png few bits", f"{size} short palette {depth}", png(width, height, depth, 3, rows, palette)
        whole = encoded(drawn(width, height, seed), "PNG")
        yield "png without end", size, whole[: whole.rfind(b"IEND") - 4]
        several = {"save_all": True, "append_images": [drawn(width, height, seed + 1)]}
        yield "png animated", size, encoded(drawn(width, height, seed), "PNG", **several)


def others():
    for seed, (width, height) in enumerate(FEW, 200):
        size, rng = f"{width}x{height}", np.random.default_rng(seed)
        yield "webp", f"{size} lossy", encoded(drawn(width, height, seed), "WEBP", quality=60)
        yield "webp", f"{size} lossless", encoded(drawn(width, height, seed, "RGBA"), "WEBP", lossless=True)
        for mode in ("1", "L", "P", "RGB"):
            yield "gif", f"{size} {mode}", encoded(drawn(width, height, seed, mode), "GIF")
        yield "gif", f"{size} transparent", encoded(drawn(width, height, seed, "P"), "GIF", transparency=1)
        several = {"save_all": True, "append_images": [drawn(width, height, seed + 1)]}
        yield "gif", f"{size} animated", encoded(drawn(width, height, seed), "GIF", **several)
        for mode in ("1", "L", "P", "RGB", "RGBA"):
            yield "bmp", f"{size} {mode}", encoded(drawn(width, height, seed, mode), "BMP")
        row = lambda bits: rng.integers(0, 256, (height, (width * bits + 31) // 32 * 4)).astype("u1").tobytes()  # noqa: E731, B023
        yield "bmp", f"{size} 5-5-5", bmp(width, height, 16, 0, b"", row(16))
        yield "bmp", f"{size} 5-6-5", bmp(width, height, 16, 3, struct.pack("<III", 0xF800, 0x7E0, 0x1F), row(16))
        yield "bmp", f"{size} 32", bmp(width, height, 32, 0, b"", row(32))
        palette = rng.integers(0, 256, 64).astype("u1").tobytes()
        yield "bmp", f"{size} 4", bmp(width, height, 4, 0, palette, row(4), 16)
        runs = b"".join(bytes([width, y * 7 % 256, 0, 0]) for y in range(height)) + b"\0\1"
        colours = rng.integers(0, 256, 1024).astype("u1").tobytes()
        yield "bmp", f"{size} run lengths", bmp(width, height, 8, 1, colours, runs, 256)
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"):
            compression = {"RGB": "tiff_lzw", "L": "tiff_adobe_deflate", "P": "packbits"}.get(mode)
            yield "tiff", f"{size} {mode} {compression}", encoded(drawn(width, height, seed, mode), "TIFF", compression=compression)
        yield "tiff", f"{size} fax", encoded(drawn(width, height, seed, "1"), "TIFF", compression="group4")
        orientation = 3 + seed % 6
        yield "tiff", f"{size} turned {orientation}", encoded(drawn(width, height, seed), "TIFF", tiffinfo={274: orientation})
        for mode in ("1", "L", "RGB"):
            yield "pnm", f"{size} {mode}", encoded(drawn(width, height, seed, mode), "PPM")
        for largest in (1, 100, 255, 1000, 65535):
            for magic, channels in ((b"P2", 1), (b"P3", 3), (b"P5", 1), (b"P6", 3)):
                values = rng.integers(0, largest + 1, width * height * channels)
                plain = b" ".join(b"%d" % v for v in values)
                body = plain if magic in (b"P2", b"P3") else values.astype(">u2" if largest > 255 else "u1").tobytes()
                if width < 20 or largest != 1000:
                    yield "pnm", f"{size} {magic.decode()} {largest}", magic + b"\n# c\n%d %d\n%d\n" % (width, height, largest) + body


def bmps():
    """What Pillow makes of run lengths with steps, of masks, of every header, of ramps of grey."""
    packed = lambda *words: struct.pack(f"<{len(words)}I", *words)  # noqa: E731
    rng = np.random.default_rng(500)
    drawn_bytes = lambda count: rng.integers(0, 256, count).astype("u1").tobytes()  # noqa: E731
    colours, few = drawn_bytes(1024), drawn_bytes(64)
    step, end_of_row, end = bytes([0, 2, 3, 1]), b"\0\0", b"\0\1"
    runs = {
        "steps": bytes([2, 9]) + step + bytes([2, 7]) + end_of_row + bytes([4, 5]) + bytes([0, 2, 0, 2]) + (bytes([8, 3]) + end_of_row) * 5 + end,
        "steps beyond the end": bytes([0, 2, 200, 200]),
        "short rows": (bytes([3, 8]) + end_of_row) * 6 + end,
        "rows too long": (bytes([250, 6]) + end_of_row) * 6 + end,
        "as they stand": (bytes([0, 5, 1, 2, 3, 4, 5, 0]) + bytes([3, 7]) + end_of_row) * 6 + end,
        "not enough": bytes([8, 1]) + end_of_row + end,
        "cut off": bytes([8, 1]) * 3 + bytes([0, 9, 1]),
    }
    for name, coded in runs.items():
        yield "bmp", f"run lengths, {name}", bmp(8, 6, 8, 1, colours, coded, 256)
        yield "bmp", f"run lengths of 4 bits, {name}", bmp(8, 6, 4, 2, few, coded, 16)
        yield "bmp", f"run lengths, top down, {name}", bmp(8, -6, 8, 1, colours, coded, 256)
    masks = {
        32: ((0xFF0000, 0xFF00, 0xFF), (0xFF000000, 0xFF0000, 0xFF00), (0xFF000000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000)),
        24: ((0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000)),
        16: ((0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0xF00, 0xF0, 0xF)),
    }
    for bits, kinds in masks.items():
        for rgb in kinds:
            rows = drawn_bytes((5 * bits + 31) // 32 * 4 * 3)
            yield "bmp", f"masks of {bits} bits {rgb}", bmp(5, 3, bits, 3, packed(*rgb), rows)
    for alpha in ((0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000, 0xFF000000), (0xFF0000, 0xFF00, 0xFF, 0xFF000000),
                  (0xFF000000, 0xFF00, 0xFF, 0xFF0000), (0, 0, 0, 0)):  # fmt: skip
        for size in (56, 108, 124):
            header = (struct.pack("<IiiHHIIiiII", size, 5, 3, 1, 32, 3, 0, 0, 0, 0, 0) + packed(*alpha) + bytes(124))[:size]
            file = b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + size) + header + drawn_bytes(60)
            yield "bmp", f"header of {size} with masks {alpha}", file
    core = struct.pack("<IHHHH", 12, 5, 3, 1, 8)
    yield "bmp", "header of 12", b"BM" + struct.pack("<IHHI", 0, 0, 0, 26 + 768) + core + drawn_bytes(768 + 24)
    for bits in (4, 8):
        for count in (2, 16, 256):
            grey = b"".join(bytes([255 * i if count == 2 else i] * 3 + [0]) for i in range(count))
            rows = drawn_bytes((5 * bits + 31) // 32 * 4 * 3)
            yield "bmp", f"ramp of {count} greys in {bits} bits", bmp(5, 3, bits, 0, grey, rows, count)
    rows = drawn_bytes(24)
    yield "bmp", "last row not filled up", bmp(5, 3, 8, 0, colours, rows[:-3], 256)
    yield "bmp", "last row cut", bmp(5, 3, 8, 0, colours, rows[:-4], 256)
    yield "damaged", "bmp of compression 4", bmp(5, 3, 24, 4, b"", drawn_bytes(48))


def jpeg2000s():
    for seed, (width, height) in enumerate(FEW, 400):
        for mode in ("L", "LA", "RGB", "RGBA", "CMYK", "I;16"):
            yield "jpeg 2000", f"{width}x{height} {mode}", encoded(drawn(width, height, seed, mode), "JPEG2000")
        lossy = {"irreversible": True, "quality_layers": [10]}
        yield "jpeg 2000", f"{width}x{height} lossy", encoded(drawn(width, height, seed), "JPEG2000", **lossy)
        yield "jpeg 2000", f"{width}x{height} tiles", encoded(drawn(width, height, seed), "JPEG2000", tile_size=(16, 16))
        yield "jpeg 2000", f"{width}x{height} code stream", encoded(drawn(width, height, seed), "JPEG2000", no_jp2=True)


def damaged():
    """Files that were cut or overwritten."""
    picture = drawn(40, 23, 300)
    whole = {
        "jpeg": encoded(picture, "JPEG"), "jpeg progressive": encoded(picture, "JPEG", progressive=True),
        "png": encoded(picture, "PNG"), "gif": encoded(picture, "GIF"), "bmp": encoded(picture, "BMP"),
        "tiff": encoded(picture, "TIFF", compression="tiff_lzw"), "webp": encoded(picture, "WEBP"), "pnm": encoded(picture, "PPM"), "jpeg 2000": encoded(picture, "JPEG2000"),
    }  # fmt: skip
    for kind, data in whole.items():
        for share in (0.1, 0.5, 0.9):
            yield "damaged", f"{kind} cut at {share}", data[: int(len(data) * share)]
    at = whole["png"].find(b"IHDR") + 20
    yield "damaged", "png header sum", whole["png"][:at] + bytes([whole["png"][at] ^ 1]) + whole["png"][at + 1 :]
    at = whole["png"].find(b"IDAT") + 40
    yield "damaged", "png data", whole["png"][:at] + b"\xff" * 8 + whole["png"][at + 8 :]
    jpeg = whole["jpeg"]
    yield "damaged but read", "jpeg without end", jpeg[:-2]
    yield "damaged but read", "jpeg and more", jpeg + b"more"
    yield "damaged but read", "png and more", whole["png"] + b"more"


def main() -> None:
    if PIL.__version__ != "13.0.0":
        sys.exit(f"Pillow 13.0.0 is needed, not {PIL.__version__}")
    warnings.simplefilter("ignore")
    files, rows = {}, []
    for kind, name, data in (*jpegs(), *jpeg2000s(), *pngs(), *others(), *damaged(), *bmps()):
        key = f"{kind}: {name}"
        assert key not in files, key
        files[key] = np.frombuffer(data, np.uint8)
        try:
            values = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except Exception as error:  # noqa: BLE001
            rows.append([kind, name, type(error).__name__])
            continue
        height, width, _ = values.shape
        shown = values.tobytes().hex() if width * height <= 12 else ""
        rows.append([kind, name, width, height, hashlib.sha256(values.tobytes()).hexdigest()[:32], shown])
    save_file(files, HERE / "pictures.safetensors")
    (HERE / "pictures.json").write_text("[" + ",\n".join(json.dumps(row) for row in rows) + "]\n")
    print(len(rows), "pictures")


main()
