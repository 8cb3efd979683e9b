// Package lifeline is the vocabulary of Lifeline: alerts, incidents, commands,
// events and errors. It holds types only and imports the standard library only.
//
// # Follow one alert
//
//  1. internal/intake: a webhook's bytes become []Alert: checked, bounded, authenticated.
//  2. internal/triage: new, repeat or resolved? Opens the incident and enqueues
//     its remediation in one transaction; only then does the sender get its 2xx.
//  3. internal/respond: the durable workflow of one incident: gather, ask, act,
//     verify, close or hand over.
//  4. internal/agent: the model answers; its tool calls run in parallel, results
//     go back in order. Or internal/runbook: a written procedure does the same.
//  5. internal/tool: what may be asked for, one file per tool.
//  6. internal/guard: the only door to a host: policy, intent on record, run,
//     result on record.
//  7. shellpolicy: may this command run? Pure, no I/O.
//  8. sshpool: runs it, over one connection per host.
//  9. internal/respond verifies: did the service really come back?
//  10. internal/timeline, internal/notify and internal/web: everyone saw each
//     step, where they are.
package lifeline
