// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufClient
import DMABufModel
import DMABufSystem

/// What every command that asks the registry has in common.
struct RegistryOptions: ParsableArguments {
    @Option(help: "The registry's socket. Default: $DMABUF_SHARE_SOCKET, then this user's own, as `serve` makes it.")
    var socket: String?

    @Option(help: ArgumentHelp("How long to wait for the registry's answers.", valueName: "seconds"))
    var timeout = Seconds(10)

    @Flag(help: "Print the result as JSON.")
    var json = false

    var deadline: Deadline { .after(timeout.duration) }

    /// Who only listens is told of moves while idle, and does without control pages for that.
    func connect(onlyListening: Bool = false) throws(DMABufError) -> RegistryConnection {
        let path = socket ?? RegistryAddress.standard
        do throws(RegistryError) {
            var connection =
                onlyListening
                ? try RegistryConnection(withoutPagesAt: path, until: deadline)
                : try RegistryConnection(at: path, until: deadline)
            connection.answersWithin = timeout.duration
            return connection
        } catch { throw error.asError }
    }
}

/// Which buffer: by its name, or by its 32 hexadecimal digits.
struct BufferArgument: ParsableArguments {
    @Argument(
        help: "The buffer's name, or the 32 hexadecimal digits of its number.", completion: .registeredNames)
    var name: String

    @OptionGroup var user: UserOption

    /// nil where it was named by its number.
    var givenName: String? { BufferID(hexadecimal: name) == nil ? name : nil }

    func find(
        _ registry: inout RegistryConnection, showing token: TokenID? = nil, until deadline: Deadline
    ) throws(RegistryError) -> BufferID {
        try user.find(name, &registry, showing: token, until: deadline)
    }

    func attach(
        _ registry: inout RegistryConnection, _ terms: AttachTerms, until deadline: Deadline
    ) throws(RegistryError) -> AttachedBuffer {
        try user.attach(name, &registry, terms, until: deadline)
    }
}

/// Whose names are meant.
struct UserOption: ParsableArguments {
    @Option(help: ArgumentHelp("The user whose name it is. Default: this user.", valueName: "uid"))
    var of: UInt32?

    func find(
        _ name: String, _ registry: inout RegistryConnection, showing token: TokenID? = nil, until deadline: Deadline
    ) throws(RegistryError) -> BufferID {
        if let id = BufferID(hexadecimal: name) { return id }
        do throws(RegistryError) {
            guard case .found(let id, _) = try registry.ask(.lookup(name, uid: of), until: deadline) else {
                throw .ruledOut(.noSuchBuffer)
            }
            return id
        } catch { throw error.explained(name, showing: token) }
    }

    /// Attaches by name in one request, and by number.
    func attach(
        _ name: String, _ registry: inout RegistryConnection, _ terms: AttachTerms, until deadline: Deadline
    ) throws(RegistryError) -> AttachedBuffer {
        do throws(RegistryError) {
            if let id = BufferID(hexadecimal: name) { return try registry.attach(id, terms, until: deadline) }
            return try registry.attach(name, of: of, terms, until: deadline)
        } catch { throw error.explained(name, showing: terms.token) }
    }
}

extension RegistryError {
    /// Says which: a command may take several. A token opens a buffer, and no name.
    fileprivate func explained(_ name: String, showing token: TokenID?) -> RegistryError {
        guard case .ruledOut(let refusal) = self else { return self }
        let isNamed = refusal == .noSuchBuffer && token != nil && BufferID(hexadecimal: name) == nil
        let error = asError
        let remedy =
            isNamed
            ? "who has only a token names the buffer by its 32 digits, which `token create` prints" : error.remedy
        return .local(
            DMABufError(
                error.code, "\(name.quotedForDisplay): \(error.message)", remedy: remedy))
    }
}

extension BufferID {
    init?(hexadecimal text: String) {
        guard let (high, low) = bits128(hexadecimal: text) else { return nil }
        self.init(high: high, low: low)
    }

    /// As everywhere outside the program.
    var hexadecimal: String { hexadecimalText(high) + hexadecimalText(low) }
}

/// Exactly 32 digits, without a sign.
func bits128(hexadecimal text: String) -> (high: UInt64, low: UInt64)? {
    guard text.utf8.count == 32, text.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
        let high = UInt64(text.prefix(16), radix: 16), let low = UInt64(text.suffix(16), radix: 16)
    else { return nil }
    return (high, low)
}

func hexadecimalText(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

extension Seconds {
    var interval: Interval { Interval(duration) }
}

/// Runs a command's work with the registry; what either throws is told as any error of the tool's.
func asking(
    _ options: RegistryOptions, onlyListening: Bool = false, _ work: (inout RegistryConnection) throws -> Void
) throws {
    try reporting(json: options.json) {
        var registry = try options.connect(onlyListening: onlyListening)
        do { try work(&registry) } catch let error as RegistryError { throw error.asError }
    }
}
