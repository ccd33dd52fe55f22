// SPDX-License-Identifier: Apache-2.0

import Glibc
public import SystemPackage

/// What a descriptor has been found to be, for whoever need not look again: while it is open, it stays what it is.
public struct Identification: Sendable {
    /// nil: none of these. ``DescriptorKind`` has the word for what it is then.
    public let kind: Kind?
    /// Of a memfd; they had to be asked to know it, and are never taken off.
    public let seals: MemFD.Seals

    public enum Kind: Sendable {
        case dmaBuf, syncFile, eventfd, pidfd, memfd
    }

    public init(of descriptor: borrowing Descriptor) throws(Errno) {
        try self.init(ofNumber: descriptor.number)
    }

    private init(_ kind: Kind?, _ seals: MemFD.Seals = []) {
        self.kind = kind
        self.seals = seals
    }

    init(ofNumber number: CInt) throws(Errno) {
        let link = try DescriptorLink(ofNumber: number)
        if link.starts(with: "/memfd:") {
            // Of huge pages its owner can take away even sealed memory: a hole is filled from a pool that can be empty.
            let seals = try? MemFD.seals(ofNumber: number)
            if let seals, hasOrdinaryPages(number) { self.init(.memfd, seals) } else { self.init(nil) }
        } else if link.starts(with: "/dmabuf:") {
            self.init(try isInDMABufFilesystem(number) ? .dmaBuf : nil)
        } else {
            self.init(Self.anonymousInode(link))
        }
    }

    /// No path on disk can look like these: a path starts with a slash.
    private static func anonymousInode(_ link: DescriptorLink) -> Kind? {
        if link == "anon_inode:[eventfd]" { return .eventfd }
        if link == "anon_inode:sync_file" { return .syncFile }
        return link == "anon_inode:[pidfd]" ? .pidfd : nil
    }
}
