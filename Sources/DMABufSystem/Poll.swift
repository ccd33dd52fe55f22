// SPDX-License-Identifier: Apache-2.0

import CDMABuf
import Glibc
public import SystemPackage

/// Waiting for one descriptor.
public enum Poll {
    /// What to wait for. On a dma-buf, `readable` waits for the writers' fences and `writable` for everyone's.
    public struct Events: OptionSet, Sendable {
        public let rawValue: Int16
        public init(rawValue: Int16) { self.rawValue = rawValue }

        public static let readable = Events(rawValue: Int16(POLLIN))
        public static let writable = Events(rawValue: Int16(POLLOUT))
        public static let failed = Events(rawValue: Int16(POLLERR))
        public static let hungUp = Events(rawValue: Int16(POLLHUP))
    }

    /// What is ready by `deadline`; empty at the deadline.
    ///
    /// The corresponding C function is `ppoll`. Only for descriptors of a known kind.
    public static func wait(
        _ descriptor: borrowing Descriptor, for events: Events, until deadline: Deadline
    ) throws(Errno) -> Events {
        var entry = pollfd(fd: descriptor.number, events: events.rawValue, revents: 0)
        while true {
            var timeout = deadline.timespecRemaining
            do throws(Errno) {
                try nothingOrErrno(retryOnInterrupt: false) { unsafe dmabuf_ppoll(&entry, 1, &timeout) }
                return Events(rawValue: entry.revents)
            } catch {
                guard error == .interrupted else { throw error }
            }
        }
    }

    /// As above; also empty as soon as `stop` is readable.
    public static func wait(
        _ descriptor: borrowing Descriptor, for events: Events, until deadline: Deadline,
        unless stop: borrowing Descriptor
    ) throws(Errno) -> Events {
        while true {
            var entries: [2 of pollfd] = [
                pollfd(fd: descriptor.number, events: events.rawValue, revents: 0),
                pollfd(fd: stop.number, events: Int16(POLLIN), revents: 0),
            ]
            var timeout = deadline.timespecRemaining
            do throws(Errno) {
                try nothingOrErrno(retryOnInterrupt: false) {
                    unsafe withUnsafeMutableBytes(of: &entries) {
                        unsafe dmabuf_ppoll($0.baseAddress!.assumingMemoryBound(to: pollfd.self), 2, &timeout)
                    }
                }
                return entries[1].revents != 0 ? [] : Events(rawValue: entries[0].revents)
            } catch {
                guard error == .interrupted else { throw error }
            }
        }
    }
}
