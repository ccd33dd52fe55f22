// SPDX-License-Identifier: Apache-2.0

import DMABufSystem

/// A kind of exporter or importer: its word in the grammar of names, what may stand behind the colon, where it can be
/// found on this machine, and how it is opened.
public struct Backend<Product: Sendable>: Sendable {
    /// "vgem", "heap", "drm".
    public let word: String
    let argument: BackendArgument
    /// What may stand behind the colon on this machine; nil stands for the bare word.
    let candidates: @Sendable () -> [String?]
    let open: @Sendable (String?) throws(DMABufError) -> Product

    init(
        _ word: String, _ argument: BackendArgument, candidates: @escaping @Sendable () -> [String?] = { [nil] },
        open: @escaping @Sendable (String?) throws(DMABufError) -> Product
    ) {
        self.word = word
        self.argument = argument
        self.candidates = candidates
        self.open = open
    }

    /// How the name is written: "vgem[:NODE]".
    var pattern: String {
        switch argument {
        case .none: word
        case .optional(let placeholder): "\(word)[:\(placeholder)]"
        case .required(let placeholder): "\(word):\(placeholder)"
        }
    }

    /// What happened when a candidate was opened.
    public struct Attempt: Sendable {
        public let name: String
        public let result: Result<Product, DMABufError>

        /// One line: what was tried and how it went.
        public var line: String {
            switch result {
            case .success: "\(name): works"
            case .failure(let error): "\(error.message.hasPrefix(name) ? "" : "\(name): ")\(error.message)"
            }
        }
    }

    /// Opens everything of this kind that there is, and says why not.
    func probe() -> [Attempt] {
        candidates().map { argument in
            let name = argument.map { "\(word):\($0)" } ?? word
            do throws(DMABufError) {
                return Attempt(name: name, result: .success(try open(argument)))
            } catch {
                return Attempt(name: name, result: .failure(error))
            }
        }
    }
}

/// What stands behind the colon of a name, by its word in the grammar.
enum BackendArgument: Sendable {
    case none
    case optional(String)
    case required(String)
}

extension Array {
    /// How the names of these are written.
    func grammar<Product>() -> String where Element == Backend<Product> { map(\.pattern).joined(separator: ", ") }

    /// The backend that a name speaks of, and what stands behind its colon. Throws `invalid`, with the grammar.
    func find<Product>(
        _ name: String, what: String
    ) throws(DMABufError) -> (backend: Backend<Product>, argument: String?) where Element == Backend<Product> {
        let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let argument = parts.count == 2 ? parts[1] : nil
        if let backend = first(where: { $0.word == parts[0] }) {
            switch (backend.argument, argument) {
            case (.none, nil), (.optional, nil): return (backend, nil)
            case (.optional, let argument?), (.required, let argument?):
                if !argument.isEmpty { return (backend, argument) }
            default: break
            }
        }
        throw DMABufError(
            .invalid, "no \(what) is called \"\(name.escapedForDisplay)\"",
            remedy: "one of \(grammar())")
    }
}
