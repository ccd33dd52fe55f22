// SPDX-License-Identifier: Apache-2.0

public import SystemPackage

/// What a program catches from this library: what was tried on what, why it failed, and what to do.
public struct DMABufError: Error, Sendable {
    public struct Code: Equatable, Sendable {
        private enum Value: String {
            case unavailable, unsupported, invalid, notADMABuf, unsealed, deadline, refused, gone, noRegistry, failed
        }
        private let value: Value

        /// The machine has not what it takes: no device, no module, no permission.
        public static let unavailable = Code(value: .unavailable)
        /// The device is there and cannot do this.
        public static let unsupported = Code(value: .unsupported)
        /// What was asked makes no sense: a size, a description, a name.
        public static let invalid = Code(value: .invalid)
        /// A descriptor is not what it should be.
        public static let notADMABuf = Code(value: .notADMABuf)
        /// A memfd that may still shrink under its readers.
        public static let unsealed = Code(value: .unsealed)
        /// A wait ended at its deadline.
        public static let deadline = Code(value: .deadline)
        /// Stated requirements exclude the buffer, and nothing was tried; or a rule of the registry's refused.
        public static let refused = Code(value: .refused)
        /// The peer or the device went away.
        public static let gone = Code(value: .gone)
        /// No registry serves where one was looked for.
        public static let noRegistry = Code(value: .noRegistry)
        /// The kernel said no; `cause` has its reason.
        public static let failed = Code(value: .failed)

        public var name: String { value.rawValue }
    }

    public let code: Code
    /// One sentence: what, on what, why.
    public let message: String
    public let cause: Errno?
    /// What a person can do about it.
    public let remedy: String?
    /// What was tried before giving up, a line each.
    public let tried: [String]

    public init(
        _ code: Code, _ message: String, cause: Errno? = nil, remedy: String? = nil, tried: [String] = []
    ) {
        self.code = code
        self.message = message
        self.cause = cause
        self.remedy = remedy
        self.tried = tried
    }

    /// An error of the kernel's, with the words and the remedy that its number calls for.
    public static func system(_ operation: String, _ cause: Errno, remedy: String? = nil) -> DMABufError {
        let code: Code =
            switch cause {
            case .permissionDenied, .notPermitted, .noSuchFileOrDirectory, .noSuchAddressOrDevice: .unavailable
            case .timedOut: .deadline
            case .brokenPipe, .connectionReset, .connectionRefused: .gone
            default: .failed
            }
        return DMABufError(
            code, "\(operation): \(cause)", cause: cause, remedy: remedy ?? Self.remedy(for: cause))
    }

    private static func remedy(for cause: Errno) -> String? {
        switch cause {
        case .tooManyOpenFiles: "raise the limit of open files (ulimit -n)"
        case .tooManyOpenFilesInSystem: "raise fs.file-max"
        case .noMemory: "free memory, or ask for a smaller buffer"
        case .permissionDenied, .notPermitted:
            "run as a user who may open the device; `dmabuf-share doctor` names the group"
        default: nil
        }
    }
}

extension DMABufError: CustomStringConvertible {
    public var description: String { message }
}

/// Runs a call of the system layer and turns its errno into an error that says what was tried.
@inline(__always)
func attempting<Value: ~Copyable>(
    _ operation: @autoclosure () -> String, remedy: @autoclosure () -> String? = nil,
    _ call: () throws(Errno) -> Value
) throws(DMABufError) -> Value {
    do throws(Errno) {
        return try call()
    } catch {
        throw .system(operation(), error, remedy: remedy())
    }
}
