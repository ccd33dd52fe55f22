// SPDX-License-Identifier: Apache-2.0

/// What is wrong with a line, and where: lines and columns count from 1, columns in bytes.
public struct PolicyError: Error, Hashable, Sendable, CustomStringConvertible {
    public var line: Int
    public var column: Int
    /// For people. It holds printable ASCII, whatever the file does.
    public var sentence: String

    public init(line: Int, column: Int, _ sentence: String) {
        self.line = line
        self.column = column
        self.sentence = sentence
    }

    public var description: String { "\(line):\(column): \(sentence)" }
}

/// All that is wrong with a file.
public struct PolicyErrors: Error, Hashable, Sendable {
    public var all: [PolicyError]
}
