// SPDX-License-Identifier: Apache-2.0

import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage

/// What commands do with the bytes of a buffer; always through the bracket.
extension DescribedBuffer {
    /// Writes the pattern, or a file: its bytes fill the dma-bufs one after the other, and what is left stays as it is. Returns
    /// how many bytes were written.
    @discardableResult
    func fill(from source: String) throws(DMABufError) -> UInt64 {
        if source == "pattern" {
            for buffer in memory { try buffer.write { bytes in Pattern.fill(&bytes) } }
            return description.byteCount
        }
        var written: UInt64 = 0
        let file = try opening(source, .readOnly)
        // A file says what it has, and is not begun if it is too much; a pipe or a device says nothing.
        if let size = try? file.status().byteCount, size > memoryByteCount { throw Self.tooLarge(source) }
        var progress = Progress("filling", of: description.byteCount)
        defer { progress.end() }
        for buffer in memory {
            let result = try buffer.write { bytes in
                Result { () throws(Errno) in
                    var start = 0
                    while start < bytes.byteCount {
                        let count = try file.read(into: &bytes, start..<min(start + Self.chunk, bytes.byteCount))
                        if count == 0 { return }
                        start += count
                        written += UInt64(count)
                        progress.add(count)
                    }
                }
            }
            if case .failure(let error) = result { throw .system("read \(source.escapedForDisplay)", error) }
        }
        guard try isAtEnd(source, file) else { throw Self.tooLarge(source) }
        return written
    }

    private static func tooLarge(_ source: String) -> DMABufError {
        DMABufError(.invalid, "\(source.escapedForDisplay) is larger than the buffer")
    }

    /// What goes through a stream is held as a whole: whoever reads or writes that may take their time, and an access may not.
    func byteCountForStream() throws(DMABufError) -> Int {
        guard description.byteCount <= 1 << 30 else {
            throw DMABufError(
                .unsupported, "the buffer has \(description.byteCount) bytes, and at most 1 GiB goes through a pipe",
                remedy: "name a file")
        }
        return Int(description.byteCount)
    }

    /// Writes bytes into the dma-bufs, one after the other. What they are too few for stays as it is.
    func fill(with content: [UInt8]) throws(DMABufError) -> UInt64 {
        var rest = content[...]
        for buffer in memory where !rest.isEmpty {
            let part = rest.prefix(Int(clamping: buffer.byteCount))
            try buffer.write { bytes in
                for (offset, byte) in part.enumerated() {
                    bytes.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
                }
            }
            rest = rest.dropFirst(part.count)
        }
        return UInt64(content.count)
    }

    /// All described bytes, in order.
    func content() throws(DMABufError) -> [UInt8] {
        var content: [UInt8] = []
        content.reserveCapacity(try byteCountForStream())
        for (buffer, size) in zip(memory, description.sizes) {
            try buffer.read { bytes in
                let part = Span<UInt8>(_bytes: bytes.extracting(first: Int(size)))
                for index in part.indices { content.append(part[index]) }
            }
        }
        return content
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
        var progress = Progress("writing", of: description.byteCount)
        defer { progress.end() }
        for (buffer, size) in zip(memory, description.sizes) {
            let result = try buffer.read { bytes in
                Result { () throws(Errno) in
                    for part in Self.parts(of: Int(size)) {
                        try file.writeAll(bytes.extracting(part))
                        progress.add(part.count)
                    }
                }
            }
            if case .failure(let error) = result { throw .system("write \(path.escapedForDisplay)", error) }
        }
    }

    /// So much at a time takes a moment and no more.
    private static let chunk = 1 << 20

    private static func parts(of byteCount: Int) -> some Sequence<Range<Int>> {
        stride(from: 0, to: byteCount, by: chunk).lazy.map { $0..<min($0 + chunk, byteCount) }
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
        // A file of the user's is nothing that the machine has not.
        throw DMABufError(
            .failed, "open \(path.escapedForDisplay): \(error)", cause: error,
            remedy: access == .create ? "name a file that this user may write" : "name a file that this user may read")
    }
}

private func isAtEnd(_ path: String, _ file: borrowing Descriptor) throws(DMABufError) -> Bool {
    do throws(Errno) {
        return try file.readAll(limit: 1).isEmpty
    } catch {
        throw .system("read \(path.escapedForDisplay)", error)
    }
}
