package shellpolicy_test

import (
	"fmt"

	"lifeline/shellpolicy"
)

func ExampleJudge() {
	policy := shellpolicy.Policy{Mode: shellpolicy.Auto}
	for _, command := range []string{
		`docker logs --tail 50 web 2>&1 | grep -i "out of memory"`,
		"docker restart web",
		"docker logs -f web",
		"timeout 5 rm -rf /srv/app",
	} {
		v := shellpolicy.Judge(command, policy)
		fmt.Printf("%s %s\n  %s\n", v.Decision, v.Class, v.Reason)
		if v.Canonical != "" {
			fmt.Printf("  runs as %s\n", v.Canonical)
		}
	}
	// Output:
	// allow read
	//   "docker logs --tail 50 web" only reads
	//   runs as docker logs --tail 50 web 2>&1 | grep -i 'out of memory'
	// allow change
	//   "docker restart web" is a listed reversible change
	//   runs as docker restart web
	// deny read
	//   "docker logs -f web" does not end by itself; leave out -f, or put "timeout 10" before it
	// deny destructive
	//   "rm -rf /srv/app" loses data or service
}

func ExamplePolicy() {
	policy := shellpolicy.Policy{
		Mode: shellpolicy.Suggest,
		Rules: []shellpolicy.Rule{
			{Program: "docker", Args: []string{"restart", "web"}, Decision: shellpolicy.Allow, Reason: "it may restart at any time"},
		},
		Protected: shellpolicy.Protected{Containers: []string{"postgres"}},
	}
	for _, command := range []string{"docker restart web", "docker restart cache", "docker restart postgres"} {
		v := shellpolicy.Judge(command, policy)
		fmt.Println(v.Decision, v.Rule)
	}
	// Output:
	// allow owner: docker restart web
	// ask docker restart
	// deny docker restart
}
