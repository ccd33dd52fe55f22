// SPDX-License-Identifier: Apache-2.0

import DMABufSystem
import TestSupport
import Testing

/// What the tool is started with, and how it is ended, is not its choice.
@Suite("Started and ended badly", .leavesNoDescriptor)
struct RobustnessTests {
    private let socket = "/tmp/dmabuf-share-\(OwnProcess.processID)-\(Deadline.now().nanoseconds).sock"

    private func shell(_ script: String) throws -> Run {
        try Running(["sh", "-c", script], environment: ["TOOL": Tool.path, "SOCKET": socket]).finish()
    }

    /// A report written to a closed standard output must not land in the memory that took its number.
    @Test func closedStandardStreamsAreNobodysBuffer() throws {
        let run = try shell(
            """
            $TOOL send --to $SOCKET --from memfd --size 4K --fill pattern --timeout 20 <&- >&- 2>&- &
            $TOOL receive --from $SOCKET --verify --timeout 20; status=$?; wait $! || exit 9; exit $status
            """)
        #expect(run.status == 0, "\(run.output)\(run.errors)")
    }

    @Test func aNumberThatIsNotOpenIsNotOurOwn() throws {
        for command in ["send --from memfd --size 4K --to", "receive --into cpu --from"] {
            let run = try shell("$TOOL \(command) fd:3 3>&-")
            #expect(run.status == 1 && run.errors.contains("Bad file descriptor"), "\(run.status) \(run.errors)")
        }
    }

    @Test func ignoredChildrenKeepTheirStatus() throws {
        let run = try shell("trap '' CHLD; exec $TOOL export --from memfd --size 4K -- sh -c 'exit 7'")
        #expect(run.status == 7, "\(run.errors)")
    }

    @Test func bytesThatAreNoTextArrive() throws {
        let run = try shell(
            """
            export ODD="$(printf 'a\\377b')"
            $TOOL export --from memfd --size 4K -- sh -c 'printf %s "$ODD$1" | od -An -tx1' sh "$ODD"
            """)
        #expect(run.output == " 61 ff 62 61 ff 62\n", "\(run.output)\(run.errors)")
    }

    @Test func aReaderThatHasGoneChangesNoStatus() throws {
        for ignoring in ["", "trap '' PIPE; "] {
            let run = try shell("\(ignoring){ $TOOL doctor; echo $? >&2; } | true")
            #expect(run.errors == (Backends.realExporters.isEmpty ? "2\n" : "0\n"), "\(run.errors)")
        }
    }

    @Test(arguments: [SignalNumber.terminate, .interrupt]) func aSignalLeavesNoSocketBehind(signal: SignalNumber) throws
    {
        let running = try Tool.start("receive", "--from", socket)
        let deadline = Deadline.after(.seconds(20))
        while FileType(at: socket) == .missing, !deadline.hasPassed { Clock.sleep(.milliseconds(2)) }
        #expect(FileType(at: socket) == .socket)
        try running.send(signal)
        #expect(try running.finish().status == 128 + signal.rawValue)
        #expect(FileType(at: socket) == .missing)
    }

    /// Each role may die at any moment: the demo says so, ends, and leaves no process behind.
    @Test(arguments: ["producer": 0, "consumer": 0, "owner": 180, "importer": 210])
    func aDemoWhoseProcessDiesSaysSo(role: String, begin: Int) throws {
        for delay in stride(from: begin, to: begin + 60, by: 12) {
            let run = try shell(
                """
                $TOOL demo --from memfd & demo=$!
                sleep \(Double(delay) / 1000)
                pkill -9 -P $demo -f "demo-role \(role)"
                wait $demo; status=$?
                pgrep -P $demo && exit 99
                pgrep -f "dmabuf-share-demo-$demo/" && exit 98
                exit $status
                """)
            #expect(run.status == 0 || run.status == 1, "after \(delay) ms: \(run.status) \(run.output)\(run.errors)")
            let closing = run.output.split(separator: "\n").last ?? ""
            #expect(closing.hasPrefix(run.status == 0 ? "31 steps verified" : "FAILED"), "\(run.output)\(run.errors)")
        }
    }

    /// The receiver's own patience bounds what a sender promises.
    @Test func aPromiseIsNotWaitedForLongerThanAsked() throws {
        let start = Deadline.now()
        let run = try shell(
            """
            python3 \(Package.root)/Tests/Clients/passing.py offer $SOCKET --after 8000 & client=$!
            $TOOL receive --from $SOCKET --verify --timeout 2; status=$?; kill $client; exit $status
            """)
        #expect(run.status == 124, "\(run.errors)")
        #expect(Deadline.now().nanoseconds - start.nanoseconds < 7_000_000_000)
    }
}
