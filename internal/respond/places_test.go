package respond

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
)

// Who waits for a host gets a place in the order of arrival, holds nothing that
// another host needs, and leaves nothing taken when it gives up.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(2, 1)
		var order []string
		enter := func(ctx context.Context, host, name string) {
			go func() {
				if p.take(ctx, host) == nil {
					order = append(order, name)
				}
			}()
			synctest.Wait()
		}
		impatient, giveUp := context.WithCancel(t.Context())
		enter(t.Context(), "nexus", "a")
		enter(t.Context(), "nexus", "b")
		enter(impatient, "nexus", "gives up")
		enter(t.Context(), "nexus", "c")
		enter(t.Context(), "outpost", "d") // does not wait for nexus
		if want := []string{"a", "d"}; !slices.Equal(order, want) {
			t.Errorf("at work: %v, want %v", order, want)
		}
		enter(t.Context(), "third", "e") // there are two places in all
		giveUp()
		synctest.Wait()
		for _, host := range []string{"nexus", "nexus", "outpost", "nexus", "third"} {
			p.give(host)
			synctest.Wait()
		}
		if want := []string{"a", "d", "e", "b", "c"}; !slices.Equal(order, want) {
			t.Errorf("in the order %v, want %v", order, want)
		}
		if len(p.all) != 0 || len(p.host("nexus")) != 0 || len(p.host("third")) != 0 {
			t.Errorf("left taken: %d, %d on nexus, %d on third", len(p.all), len(p.host("nexus")), len(p.host("third")))
		}
	})
}
