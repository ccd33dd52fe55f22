// SPDX-License-Identifier: Apache-2.0

public import DMABufPolicy
import DMABufSystem
public import SystemPackage

/// A policy on disk.
public struct PolicyFile: Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    /// Why it is no policy.
    public enum Problem: Error, Sendable {
        case unreadable(Errno)
        case wrong([PolicyError])
    }

    public func read() throws(Problem) -> Policy {
        let bytes: [UInt8]
        // One byte more than there may be, so that it is seen.
        do throws(Errno) { bytes = try RegularFile.bytes(path, limit: Policy.longestFile + 1) } catch {
            throw .unreadable(error)
        }
        do throws(PolicyErrors) { return try Policy(bytes) } catch { throw .wrong(error.all) }
    }

    /// A problem as lines for people: FILE:LINE:COLUMN: what is wrong.
    public func lines(_ problem: Problem) -> [String] {
        let name = path.escapedForDisplay
        return switch problem {
        case .unreadable(.invalidArgument): ["\(name): this is not a regular file"]
        case .unreadable(let error): ["\(name): \(error)"]
        case .wrong(let errors): errors.map { "\(name):\($0)" }
        }
    }
}
