// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import DMABuf
import DMABufModel
import DMABufSystem
import SystemPackage

/// A token to show. Its secret comes from a file or from the environment, never from an argument: those are for all to
/// see.
struct TokenOptions: ParsableArguments {
    static let variable = "DMABUF_TOKEN"

    @Option(
        help: ArgumentHelp(
            "Show the token whose secret is in this file. Default: the secret in $\(variable), if it is set.",
            valueName: "file"),
        completion: .file())
    var tokenFile: String?

    /// The token, or nil if there is none to show.
    func token() throws(DMABufError) -> TokenID? {
        if let tokenFile { return try TokenSecret.read(tokenFile) }
        guard let text = OwnProcess.environment(Self.variable), !text.isEmpty else { return nil }
        return try TokenSecret.parse(text, from: "$\(Self.variable)")
    }

    /// The token, where there must be one.
    func neededToken() throws(DMABufError) -> TokenID {
        guard let token = try token() else {
            throw DMABufError(
                .invalid, "no token is shown", remedy: "name its file with --token-file, or set $\(Self.variable)")
        }
        return token
    }
}

/// A token's secret as 32 hexadecimal digits, in files that nobody else may read.
enum TokenSecret {
    static func read(_ path: String) throws(DMABufError) -> TokenID {
        let bytes: [UInt8]
        do throws(Errno) { bytes = try Sysfs.bytes(path, limit: 256) } catch {
            throw DMABufError(.failed, "read \(path.escapedForDisplay): \(error)", cause: error)
        }
        if let mode = try? FileOwner(of: path).mode, mode & 0o044 != 0 {
            note("\(path.escapedForDisplay) holds a secret, and others can read it: chmod 600")
        }
        return try parse(String(decoding: bytes, as: UTF8.self), from: path)
    }

    /// What it was is not said: it may have been nearly right.
    static func parse(_ text: String, from place: String) throws(DMABufError) -> TokenID {
        let digits = String(text.filter { !$0.isWhitespace })
        guard let (high, low) = bits128(hexadecimal: digits) else {
            throw DMABufError(.invalid, "\(place.escapedForDisplay) holds no token: those have 32 hexadecimal digits")
        }
        return TokenID(high: high, low: low)
    }

    /// Into a new file; nothing is overwritten.
    static func write(_ secret: TokenID, to path: String) throws(DMABufError) {
        do throws(Errno) {
            try Descriptor.open(path, .createPrivate).write(secret.hexadecimal + "\n")
        } catch {
            throw DMABufError(
                .failed, "write \(path.escapedForDisplay): \(error)", cause: error,
                remedy: error == .fileExists ? "nothing is overwritten: choose another name" : nil)
        }
    }

    /// A new secret.
    static func make() throws(DMABufError) -> TokenID {
        do throws(Errno) {
            let (high, low) = try SecureRandom.bits128()
            return TokenID(high: high, low: low)
        } catch { throw .system("make a secret", error) }
    }
}

extension TokenID {
    var hexadecimal: String { hexadecimalText(high) + hexadecimalText(low) }
}
