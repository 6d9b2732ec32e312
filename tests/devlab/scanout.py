"""Writes what a display scans out as a picture: scanout.py /dev/dri/cardN FILE.ppm (as root, which may look at all buffers)."""
import ctypes
import fcntl
import mmap
import os
import struct
import sys


def call(fd, number, layout, *values):
    data = bytearray(struct.pack(layout, *values))
    fcntl.ioctl(fd, 0xC0000000 | len(data) << 16 | 0x64 << 8 | number, data, True)
    return struct.unpack(layout, bytes(data))


card = os.open(sys.argv[1], os.O_RDWR)
# universal planes: the primary one is among them
fcntl.ioctl(card, 0x40000000 | 16 << 16 | 0x64 << 8 | 0x0D, struct.pack("QQ", 2, 1))
planes = (ctypes.c_uint32 * 64)()
count = call(card, 0xB5, "QII", ctypes.addressof(planes), 64, 0)[1]
for plane in list(planes)[:count]:
    buffer = call(card, 0xB6, "IIIIIIQ", plane, 0, 0, 0, 0, 0, 0)[2]
    if not buffer:
        continue
    told = call(card, 0xCE, "=5I4I4I4I4x4Q", buffer, *([0] * 20))
    width, height, handle, pitch = told[1], told[2], told[5], told[9]
    offset = call(card, 0xB3, "IIQ", handle, 0, 0)[2]
    memory = mmap.mmap(card, pitch * height, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)
    with open(sys.argv[2], "wb") as out:
        out.write(b"P6 %d %d 255\n" % (width, height))
        for y in range(height):
            line = memory[y * pitch : y * pitch + 4 * width]
            rgb = bytearray(3 * width)
            rgb[0::3], rgb[1::3], rgb[2::3] = line[2::4], line[1::4], line[0::4]
            out.write(rgb)
    sys.exit(0)
sys.exit("nothing is scanned out")
