// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage

/// What commands do with the bytes of a buffer; always through the bracket.
extension DescribedBuffer {
    /// Writes the pattern, or a file: its bytes fill the dma-bufs one after the other, and what is left keeps its zeros.
    func fill(from source: String) throws(DMABufError) {
        if source == "pattern" {
            for buffer in memory { try buffer.write { bytes in Pattern.fill(&bytes) } }
            return
        }
        let file = try opening(source, .readOnly)
        for buffer in memory {
            let content = try reading(source, file, limit: Int(buffer.byteCount))
            try buffer.write { bytes in
                for (offset, byte) in content.enumerated() {
                    bytes.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
                }
            }
        }
        guard try reading(source, file, limit: 1).isEmpty else {
            throw DMABufError(.invalid, "\(source.escapedForDisplay) is larger than the buffer")
        }
    }

    /// The checksum of all described bytes, in order.
    func checksum(within limit: Duration = .seconds(2)) throws(DMABufError) -> Checksum {
        var checksum = Checksum()
        for (buffer, size) in zip(memory, description.sizes) {
            try buffer.read(within: limit) { bytes in checksum.add(bytes.extracting(first: Int(size))) }
        }
        return checksum
    }

    /// Copies all described bytes into a file.
    func copy(to path: String) throws(DMABufError) {
        let file = try opening(path, .create)
        for (buffer, size) in zip(memory, description.sizes) {
            let result = try buffer.read { bytes in
                Result { () throws(Errno) in try file.writeAll(bytes.extracting(first: Int(size))) }
            }
            if case .failure(let error) = result { throw .system("write \(path.escapedForDisplay)", error) }
        }
    }
}

extension DMABuffer {
    /// Maps the buffer and lends its bytes to read.
    func read<Result>(
        within limit: Duration = .seconds(2), _ body: (RawSpan) -> Result
    ) throws(DMABufError) -> Result {
        let mapping = try CPUImporter().attach(self, for: .read).map()
        return try mapping.withReadAccess(within: limit, body)
    }

    /// Maps the buffer and lends its bytes to write.
    func write<Result>(_ body: (inout MutableRawSpan) -> Result) throws(DMABufError) -> Result {
        var mapping = try CPUImporter().attach(self, for: .readWrite).map()
        return try mapping.withWriteAccess(body)
    }
}

private func opening(_ path: String, _ access: OpenAccess) throws(DMABufError) -> Descriptor {
    do throws(Errno) {
        return try Descriptor.open(path, access)
    } catch {
        throw .system("open \(path.escapedForDisplay)", error)
    }
}

private func reading(_ path: String, _ file: borrowing Descriptor, limit: Int) throws(DMABufError) -> [UInt8] {
    do throws(Errno) {
        return try file.readAll(limit: limit)
    } catch {
        throw .system("read \(path.escapedForDisplay)", error)
    }
}
