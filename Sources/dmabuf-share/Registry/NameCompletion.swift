// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABufClient
import DMABufModel
import DMABufSystem

extension CompletionKind {
    /// The names of this user's buffers, for the shell. Nobody is kept waiting, and where there is no registry there is
    /// nothing to say.
    static var registeredNames: CompletionKind { .custom { words, _, _ in ownNames(words) } }

    /// The names of this user's streams.
    static var streamNames: CompletionKind {
        .custom { words, _, _ in
            let first = PoolName.buffer(0, of: "")
            return ownNames(words).filter { $0.hasSuffix(first) }.map { String($0.dropLast(first.count)) }
        }
    }

    private static func ownNames(_ words: [String]) -> [String] {
        let deadline = Deadline.after(.milliseconds(300))
        guard var registry = try? RegistryConnection(at: socket(in: words), until: deadline),
            let listings = try? registry.list(until: deadline)
        else { return [] }
        // Others' names lead nowhere without --of, and a shell is not to be trusted with odd ones.
        let own = listings.filter { $0.owner == OwnProcess.userID }
        return own.flatMap(\.names).filter { $0.utf8.allSatisfy(isPlain) }.sorted()
    }

    /// The socket that the command line names so far.
    private static func socket(in words: [String]) -> String? {
        if let index = words.lastIndex(of: "--socket"), index + 1 < words.count { return words[index + 1] }
        let joined = words.last { $0.hasPrefix("--socket=") }
        return joined.map { String($0.dropFirst("--socket=".utf8.count)) } ?? RegistryAddress.standard
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        let character = Character(Unicode.Scalar(byte))
        return character.isASCII && (character.isLetter || character.isNumber || "._-+@/".contains(character))
    }
}
