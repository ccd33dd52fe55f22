// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import SystemPackage

/// `/dev/udmabuf`: makes dma-bufs of memfds.
public struct UDMABufDevice: Equatable, Sendable {
    public let path: String
    /// The module's limits, or why the device cannot be opened.
    public let limits: Result<Limits, Obstacle>

    public struct Limits: Equatable, Sendable {
        /// The largest buffer in bytes, nil where none is stated.
        public let byteCount: UInt64?
        /// The most segments of one buffer, nil where none is stated.
        public let segmentCount: Int?
    }

    static func discover() -> UDMABufDevice {
        let opening = asking(UDMABuf.path) { () throws(Errno) in _ = try UDMABuf() }
        let limits = opening.map { Limits(byteCount: UDMABuf.sizeLimit, segmentCount: UDMABuf.segmentLimit) }
        return UDMABufDevice(path: UDMABuf.path, limits: limits.mapError { isRegistered ? $0 : noDriver($0.cause) })
    }

    /// Whether the kernel has the device, wherever its file is.
    private static var isRegistered: Bool { (try? FileOwner(of: "/sys/class/misc/udmabuf")) != nil }

    /// A file that is missing means little where the device is missing too.
    private static func noDriver(_ cause: Errno) -> Obstacle {
        Obstacle(
            cause == .noSuchFileOrDirectory ? .noSuchAddressOrDevice : cause, "the kernel has no such device",
            remedy: "`dmabuf-share doctor` says whether a module is missing")
    }
}

/// A dma-heap, of `/dev/dma_heap`.
public struct DMAHeapDevice: Equatable, Sendable {
    /// Its file name: "system".
    public let name: String
    /// Why it cannot be opened, nil if it can.
    public let obstacle: Obstacle?

    public var path: String { "\(DMAHeap.folder)/\(name)" }

    static let subsystem = "dma_heap"

    static func discover() throws(Errno) -> [DMAHeapDevice] {
        // Where a file is missing, the kernel's list has the heap; where /sys is missing, /dev has it.
        let known = try Udev.devices(inSubsystem: subsystem).map(\.name)
        return Set(known + DMAHeap.names).sorted().map { name in
            let opening = asking("\(DMAHeap.folder)/\(name)") { () throws(Errno) in _ = try DMAHeap(named: name) }
            guard case .failure(let obstacle) = opening else { return DMAHeapDevice(name: name, obstacle: nil) }
            return DMAHeapDevice(name: name, obstacle: obstacle)
        }
    }
}
