// SPDX-License-Identifier: Apache-2.0

import CDMABuf

/// The filesystem magic of dma-bufs, `DMA_BUF_MAGIC` ("DMAB").
private let dmaBufMagic: UInt64 = 0x444d_4142

/// Whether the file lives in the kernel's dma-buf filesystem. Only after link and fdinfo have said as much: on a hostile
/// file `fstatfs` blocks.
func isDMABufFilesystem(_ number: CInt) -> Bool {
    var type: UInt64 = 0
    return unsafe dmabuf_statfs_type(number, &type) == 0 && type == dmaBufMagic
}
