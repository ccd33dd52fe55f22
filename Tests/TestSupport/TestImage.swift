// SPDX-License-Identifier: Apache-2.0

public import DMABuf
public import DMABufModel
import DMABufSystem

/// An image that is like no other of another number: every pixel of every line is checked.
public struct TestImage: Sendable {
    public static let width = 640
    public static let height = 480
    public static let request = BufferRequest.image(width: 640, height: 480, format: .xrgb8888)

    /// Two lines in a row, so that a line can begin anywhere in the first: blue, green, red, nothing.
    private let line: [UInt8]

    public init(_ number: Int) {
        var random = SplitMix64(seed: UInt64(number))
        let colours = (0..<Self.width).map { _ in UInt32(truncatingIfNeeded: random.next()) }
        line = (colours + colours).flatMap { colour in (0..<4).map { UInt8(truncatingIfNeeded: colour >> (8 * $0)) } }
    }

    private func row(_ y: Int) -> ArraySlice<UInt8> {
        let start = (y * 7) % Self.width * 4
        return line[start..<start + 4 * Self.width]
    }

    /// A new buffer with this image in it.
    public func buffer(from exporter: String) throws -> DescribedBuffer {
        let buffer = try ExporterBackend.open(exporter).export(Self.request)
        try paint(buffer)
        return buffer
    }

    /// Puts the image into a buffer of that size and format.
    public func paint(_ buffer: DescribedBuffer) throws {
        guard let plane = buffer.description.image?.planes.first else { return }
        var mapping = try CPUImporter().attach(buffer.memory[plane.memory], for: .readWrite).map()
        try mapping.withWriteAccess { bytes in paint(&bytes, Int(plane.offset), Int(plane.stride)) }
    }

    public func paint(_ bytes: inout MutableRawSpan, _ offset: Int, _ stride: Int) {
        for y in 0..<Self.height {
            bytes.store(unsafe row(y).span.bytes, at: offset + y * stride)
        }
    }

    /// What a screen shows of it.
    public var picture: ScreenPicture {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.width * Self.height * 3)
        var colours: [UInt8] = []
        for index in 0..<line.count / 4 {
            colours += [line[4 * index + 2], line[4 * index + 1], line[4 * index]]
        }
        for y in 0..<Self.height {
            let start = (y * 7) % Self.width * 3
            bytes += colours[start..<start + 3 * Self.width]
        }
        return ScreenPicture(width: Self.width, height: Self.height, bytes: bytes)
    }
}
