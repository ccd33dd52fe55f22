// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import Synchronization

/// What the test guest's screen shows, as whoever sits before it sees it: QEMU takes the picture.
public struct ScreenPicture: Equatable, Sendable {
    public let width: Int
    public let height: Int
    /// Red, green and blue of each pixel, line by line.
    public let bytes: [UInt8]

    public init(width: Int, height: Int, bytes: [UInt8]) {
        (self.width, self.height, self.bytes) = (width, height, bytes)
    }

    /// A file each, which the host writes: a guest that has read one would not see it change.
    private static let count = Atomic(0)

    public static func take() throws -> ScreenPicture {
        let path = ".build/screen-\(count.add(1, ordering: .relaxed).newValue).ppm"
        let run = try Running(["screenshot", path]).finish()
        guard run.status == 0 else { throw Unreadable(why: run.errors) }
        let file = try Sysfs.bytes(path, limit: 64 << 20)
        // "P6", width, height and 255, a line each or several on one; then the pixels.
        var words: [String] = []
        var start = 0
        while words.count < 4, let end = file[start...].firstIndex(where: { $0 == 0x20 || $0 == 0x0a }) {
            words.append(String(decoding: file[start..<end], as: UTF8.self))
            start = end + 1
        }
        guard words.count == 4, words[0] == "P6", let width = Int(words[1]), let height = Int(words[2]),
            file.count == start + width * height * 3
        else { throw Unreadable(why: "\(path) is no picture: \(words), \(file.count) bytes") }
        return ScreenPicture(width: width, height: height, bytes: Array(file[start...]))
    }

    public struct Unreadable: Error {
        let why: String
    }
}
