// SPDX-License-Identifier: Apache-2.0

extension Policy {
    /// So large is a file at most…
    public static let longestFile = 256 << 10
    /// …so many lines has it…
    public static let mostLines = 4096
    /// …and so long is each.
    public static let longestLine = 1024

    /// Reads a policy. Throws all that is wrong with it: one error for a line, in the order of the file.
    public init(_ bytes: [UInt8]) throws(PolicyErrors) {
        self.init()
        var errors: [PolicyError] = []
        guard bytes.count <= Self.longestFile else {
            throw PolicyErrors(all: [
                PolicyError(line: 1, column: 1, "the file is longer than \(Self.longestFile) bytes")
            ])
        }
        var reached = ReachedLines()
        // One by one: a file of line ends is not first taken apart as a whole.
        var (start, number) = (0, 0)
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 0x0a) ?? bytes.count
            number += 1
            guard number <= Self.mostLines else {
                errors.append(PolicyError(line: number, column: 1, "there are more than \(Self.mostLines) lines"))
                break
            }
            do throws(PolicyError) {
                var words = try Words(bytes[start..<end], line: number)
                if let line = try words.readLine() {
                    try reached.add(line, at: words)
                    add(line)
                }
            } catch { errors.append(error) }
            start = end + 1
        }
        guard errors.isEmpty else { throw PolicyErrors(all: errors) }
    }
}
