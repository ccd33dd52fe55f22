// SPDX-License-Identifier: Apache-2.0

/// What the rules cost. A tab-separated row per figure (`id ours_ns c_ns ratio control`; the rules have no twin in C), and
/// then a table for people. With arguments, one end of a connection that others measure: see ``PassingEnd``.
///
///     dmabuf-bench
///     dmabuf-bench offer|take BYTES
///     dmabuf-bench offer|take batch
@main
struct Bench {
    static let sizes = [100, 1_000, 10_000]
    static let clients = 1_000

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else { return measureRules() }
        var end = try PassingEnd()
        switch (arguments[1], UInt64(arguments[2])) {
        case ("offer", let byteCount?): try end.offerFresh(byteCount: byteCount)
        case ("offer", nil): try end.offerMany()
        case (_, .some): try end.takeAndRead()
        case (_, nil): try end.takeAndDrop()
        }
    }

    private static func measureRules() {
        let figures = sizes.map { Workload(buffers: $0, clients: clients).figure() }
        for figure in figures {
            print("registry.request.\(figure.buffers)-buffers\t\(rounded(figure.nanoseconds))\t-\t-\t-")
        }
        print("")
        print("\(clients) clients       ns/request    requests/s")
        for figure in figures {
            let rate = Int(1e9 / figure.nanoseconds)
            print(
                "\(padded(figure.buffers, 7)) buffers   \(padded(rounded(figure.nanoseconds), 10))   \(padded(rate, 11))"
            )
        }
    }

    private static func rounded(_ nanoseconds: Double) -> Int { Int(nanoseconds + 0.5) }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: " ", count: max(0, width - digits.count)) + digits
    }
}
